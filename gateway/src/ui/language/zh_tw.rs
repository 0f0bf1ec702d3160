//! Chinese, traditional, as in Taiwan.

use super::{Heading, Texts};

pub(super) static TEXTS: Texts = Texts {
    thousands: ",",
    span: ["約 {a} 至 {b}", "{b}以內", "約 {b}"],
    plurals: &["other"],
    seconds: &["{n} 秒"],
    minutes: &["{n} 分鐘"],
    hours: &["{n} 小時"],
    unknown: "目前未知。",

    title: "您正在排隊",
    lead: "目前造訪人數眾多，請依序進入。",
    place: "您的排隊順位",
    place_unit: "",
    progress: "排隊進度",
    wait: "預估等候時間",
    next: "接下來",
    steps: [
        "輪到您時會自動進入。",
        "您可以讓此頁面保持開啟，或稍後再回來，您的順位會保留。",
        "重新整理頁面不會失去您的順位。",
    ],
    ticket: "號碼牌",
    updated: "最後更新",
    as_of: ["截至 ", ""],
    standstill: [
        "商店目前額滿。有人離開後，隊伍就會繼續前進。",
        "先前已輪到的顧客回來了，由他們先進入。您的順位會保留。",
        "商店暫時減少接待人數，因此隊伍前進較慢。",
    ],
    leave: "離開隊伍",
    leave_warning: "您將放棄目前順位。若再次前來，需從隊伍最後面開始排。",
    leave_confirm: "放棄我的順位",
    arriving: "請稍候",
    arriving_lead: "即將為您取得排隊順位，頁面會自動前往下一步。",
    arriving_note: "若沒有自動前往，請允許本網站使用 Cookie 後再試一次。",
    called: "即將輪到您",
    called_lead: "您已排到最前面。請停留在此頁面，系統會自動讓您進入。",
    kept_note: "目前無法取得排隊狀況。您的順位已保留，本頁面會持續嘗試。",
    paused_note: "目前暫停進入。您的順位已保留。",
    before: "尚未開始",
    drawing_lead: "同一時段到達的顧客以抽籤決定順序。抽籤後，您的順位會自動顯示。",
    before_lead: "您已取得排隊順位。開始後將依此順序自動進入。",
    starts_in: "距離開始還有",
    over: "活動已結束",
    over_lead: "目前已不再開放進入。",
    over_note: "您的順位會保留，以備下次活動。",
    resting_note: "商店暫時無法回應。您的順位已保留，隊伍會自動恢復前進。",
    last_items_note: "最後的商品正在結帳中。您的順位已保留：若有商品釋出，隊伍會繼續前進。",
    sold_out: "已售完",
    sold_out_note: "商品已全部售出。您的順位已保留：若有商品釋出，隊伍會依相同順序繼續。",
    may_end_note: "您前面的人很多：輪到您之前商品可能已售完。",
    ended_note: "您的停留時間已結束，因此需重新排隊。",
    held_title: "尚未送出",
    held_lead: "商店尚未收到您的表單。",
    form_kept: "您填寫的內容已全部保留在此頁面。",
    form_kept_how: [
        "請讓此頁面保持開啟：輪到您時表單會自動送出。",
        "請讓此頁面保持開啟，並不時按下按鈕：輪到您時表單就會送出。",
    ],
    form_part: "您填寫的內容已保留在此頁面，但密碼、信用卡資料與檔案未保留。未保留的項目：",
    form_part_how: [
        "請讓此頁面保持開啟：輪到您時會通知您。",
        "請讓此頁面保持開啟，並不時按下按鈕：輪到您時表單就會送出。",
    ],
    form_lost: "您填寫的內容無法保留在此頁面。",
    form_lost_how: [
        "輪到您時此頁面會重新載入：請讓瀏覽器再次送出表單，或返回上一頁從那裡送出。",
        "請不時重新載入此頁面，讓瀏覽器再次送出表單，或返回上一頁從那裡送出。",
    ],
    form_turn: "輪到您了。請返回補填未保留的項目，或直接送出表單。",
    form_send: "再次送出",
    gate_title: "請稍候",
    gate_lead: "您已進入商店。目前此步驟人數眾多，商店正依序處理。",
    gate_ahead: "此步驟在您前面的人數",
    gate_unit: "",
    gate_how: "請讓此頁面保持開啟：輪到您時會自動繼續。",
    gate_order: "先進入商店的顧客優先。",
    gate_away: "目前無法查詢是否輪到您。本頁面會持續嘗試。",
    pass_ending: "您在商店的時間即將結束。",
    pass_last: "您在商店的時間即將結束，且無法延長。請儘快完成。",
    pass_ended: "您在商店的時間已結束。您可能需要重新排隊，請先備份已填寫的內容。",
    pass_stay: "繼續停留",
    pass_close: "關閉",

    check: "立即查看",
    answers: "常見問題",
    answers_back: "返回排隊頁面",
    turn_until: ["您的順位將保留至", "。"],
    entering: "輪到您了，正在進入。",
    notify: "輪到我時通知我",
    notify_on: "請讓此頁面保持開啟：屆時會發出提示音；若瀏覽器允許，也會發送通知。",
    moved: "您開啟此頁面後已叫到的人數：{n}",
    questions: ["我會失去順位嗎？", "可以關閉此頁面嗎？", "還要等多久？", "還剩多少商品？", "為什麼隊伍沒有前進？"],
    answer_place: "不會。您的順位保存在此瀏覽器中，離開或斷線期間也會保留。只有離開隊伍或刪除本網站的Cookie才會失去順位。",
    answer_tab: "可以。用同一個瀏覽器再次開啟即可：您的順位會保留；若期間已輪到您，您將優先進入。讓頁面保持開啟則會自動進入。",
    answer_moving: "隊伍沒有停：大家正在依序進入。",
    answer_left: "目前還有商品。",
    answer_untold: "商店沒有向本頁面提供剩餘數量。",

    last_call: Heading {
        title: "排隊已截止", lead: "不再發放新的順位。已在排隊的人仍會依序進入。"
    },
    not_open: Heading { title: "尚未開始", lead: "開始前無法進入。請屆時再來。" },
    event_over: Heading { title: "活動已結束", lead: "目前已不再開放進入。感謝您的關注。" },
    place_offered: Heading {
        title: "已為您保留一個位置", lead: "請按下按鈕，在此瀏覽器中使用。只能使用一次。"
    },
    place_take: "領取位置",
    no_place: Heading {
        title: "此連結無法領取位置", lead: "連結可能不完整、已過期或已被收回。請洽詢傳送連結的人。"
    },
    suspended: Heading {
        title: "暫時關閉", lead: "目前不開放新的訪客進入。若您已在排隊，您的順位會保留。"
    },
    full: Heading { title: "目前額滿", lead: "目前沒有空位。請稍後再試。" },
    too_many: Heading { title: "請稍候", lead: "您的連線在短時間內送出過多請求。" },
    left: Heading {
        title: "您已離開隊伍", lead: "您的順位已讓給下一位。若再次前來，將取得新的順位。"
    },
    busy: Heading { title: "目前非常忙碌", lead: "網站未能及時處理此請求。請稍後再試。" },
    failed: Heading { title: "發生問題", lead: "網站未能正常回應。請稍後再試。" },
    ended: Heading {
        title: "您的停留時間已結束", lead: "表單未送出。請返回備份所填內容，然後重新排隊。"
    },
    in_doubt: Heading {
        title: "請先查看您的訂單",
        lead: "您送出的內容已送達商店，但沒有收到回覆。訂單可能已成立：再次送出前，請先查看您的訂單。",
    },
    refreshes: "本頁面會自動再次確認。",
    try_again: "再試一次",
    go_back: "返回網站",
    error: "錯誤",
    request: "請求編號",
};
