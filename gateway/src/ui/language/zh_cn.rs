//! Chinese, simplified.

use super::{Heading, Texts};

pub(super) static TEXTS: Texts = Texts {
    thousands: ",",
    span: ["约 {a} 至 {b}", "{b}以内", "约 {b}"],
    plurals: &["other"],
    seconds: &["{n} 秒"],
    minutes: &["{n} 分钟"],
    hours: &["{n} 小时"],
    unknown: "暂时未知。",

    title: "您正在排队",
    lead: "当前访问人数较多，请按顺序进入。",
    place: "您的排队位置",
    place_unit: "",
    progress: "排队进度",
    wait: "预计等待时间",
    next: "接下来",
    steps: [
        "轮到您时将自动进入。",
        "您可以保持此页面打开，也可以稍后再来，您的位置会保留。",
        "刷新页面不会丢失您的位置。",
    ],
    ticket: "排队号码",
    updated: "最近更新",
    as_of: ["截至 ", ""],
    standstill: [
        "商店目前已满。有人离开后，队伍将继续前进。",
        "之前已轮到的顾客回来了，由他们先进入。您的位置会保留。",
        "商店暂时减少接待人数，因此队伍前进较慢。",
    ],
    leave: "退出排队",
    leave_warning: "您将放弃当前位置。如果再次前来，需要从队尾开始排队。",
    leave_confirm: "放弃我的位置",
    arriving: "请稍候",
    arriving_lead: "即将为您分配排队位置，页面会自动跳转。",
    arriving_note: "如果没有跳转，请允许本网站使用 Cookie 后重试。",
    called: "马上轮到您",
    called_lead: "您已排到最前面。请停留在此页面，系统将自动让您进入。",
    kept_note: "目前无法获取排队情况。您的位置已保留，本页面会继续尝试。",
    paused_note: "目前暂停进入。您的位置已保留。",
    before: "尚未开始",
    drawing_lead: "同一时段到达的顾客按抽签决定顺序。抽签后，您的位置会自动显示。",
    before_lead: "您已取得排队位置。开始后将按此顺序自动进入。",
    starts_in: "距离开始还有",
    over: "活动已结束",
    over_lead: "现已不再放行。",
    over_note: "您的位置会保留，以备下次活动。",
    resting_note: "商店暂时无法响应。您的位置已保留，队伍会自动恢复前进。",
    last_items_note: "最后的商品正在结账。您的位置已保留：如有商品退回，队伍将继续前进。",
    sold_out: "已售罄",
    sold_out_note: "商品已全部售出。您的位置已保留：如有商品退回，队伍将按原顺序继续。",
    may_end_note: "您前面的人较多：轮到您之前商品可能已售罄。",
    ended_note: "您的停留时间已结束，因此需要重新排队。",
    held_title: "尚未发送",
    held_lead: "商店尚未收到您的表单。",
    form_kept: "您填写的内容已全部保存在此页面。",
    form_kept_how: [
        "请保持此页面打开：轮到您时表单将自动发送。",
        "请保持此页面打开，并不时点击按钮：轮到您时表单即会发送。",
    ],
    form_part: "您填写的内容已保存在此页面，但密码、银行卡信息和文件未保存。未保存的项目：",
    form_part_how: ["请保持此页面打开：轮到您时会提示您。", "请保持此页面打开，并不时点击按钮：轮到您时表单即会发送。"],
    form_lost: "您填写的内容未能保存在此页面。",
    form_lost_how: [
        "轮到您时此页面会重新加载：请让浏览器重新发送表单，或返回上一页从那里发送。",
        "请不时重新加载此页面，让浏览器重新发送表单，或返回上一页从那里发送。",
    ],
    form_turn: "轮到您了。请返回补填未保存的项目，或直接发送表单。",
    form_send: "重新发送",
    gate_title: "请稍候",
    gate_lead: "您已进入商店。目前此步骤人数较多，商店正在逐一处理。",
    gate_ahead: "此步骤在您前面的人数",
    gate_unit: "",
    gate_how: "请保持此页面打开：轮到您时会自动继续。",
    gate_order: "先进入商店的顾客优先。",
    gate_away: "目前无法查询是否轮到您。本页面会继续尝试。",
    pass_ending: "您在商店的时间即将结束。",
    pass_last: "您在商店的时间即将结束，且无法延长。请尽快完成操作。",
    pass_ended: "您在商店的时间已结束。您可能需要重新排队，请备份已填写的内容。",
    pass_stay: "继续停留",
    pass_close: "关闭",

    not_open: Heading { title: "尚未开始", lead: "开始前无法进入。请届时再来。" },
    event_over: Heading { title: "活动已结束", lead: "现已不再放行。感谢您的关注。" },
    place_offered: Heading {
        title: "已为您保留一个位置", lead: "请按下按钮，在此浏览器中使用。只能使用一次。"
    },
    place_take: "领取位置",
    no_place: Heading {
        title: "此链接无法领取位置", lead: "链接可能不完整、已过期或已被收回。请联系发送链接的人。"
    },
    suspended: Heading {
        title: "暂时关闭", lead: "目前不接受新的访客。如果您已在排队，您的位置会保留。"
    },
    full: Heading { title: "目前已满", lead: "目前没有空位。请稍后再试。" },
    too_many: Heading { title: "请稍候", lead: "您的网络连接在短时间内发出了过多请求。" },
    left: Heading {
        title: "您已退出排队", lead: "您的位置已让给下一位。如果再次前来，将获得新的位置。"
    },
    busy: Heading { title: "目前非常繁忙", lead: "网站未能及时处理此请求。请稍后再试。" },
    failed: Heading { title: "出了点问题", lead: "网站未能正常响应。请稍后再试。" },
    ended: Heading {
        title: "您的停留时间已结束", lead: "表单未发送。请返回备份所写内容，然后重新排队。"
    },
    in_doubt: Heading {
        title: "请先查看您的订单",
        lead: "您发送的内容已到达商店，但没有收到回复。订单可能已被受理：再次发送前，请先查看您的订单。",
    },
    refreshes: "本页面会自动再次检查。",
    try_again: "重试",
    go_back: "返回网站",
    error: "错误",
    request: "请求编号",
};
