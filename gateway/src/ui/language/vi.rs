//! Vietnamese, with "bạn".

use super::{Heading, Texts};

pub(super) static TEXTS: Texts = Texts {
    thousands: ".",
    span: ["khoảng {a} đến {b}", "dưới {b}", "khoảng {b}"],
    plurals: &["other"],
    seconds: &["{n} giây"],
    minutes: &["{n} phút"],
    hours: &["{n} giờ"],
    unknown: "Chưa biết.",

    title: "Bạn đang xếp hàng",
    lead: "Hiện có rất nhiều người truy cập, nên mọi người vào theo thứ tự.",
    place: "Vị trí của bạn trong hàng",
    place_unit: "",
    progress: "Hàng đã tiến được bao xa với bạn",
    wait: "Thời gian chờ dự kiến",
    next: "Tiếp theo",
    steps: [
        "Bạn sẽ tự động được vào khi đến lượt.",
        "Hãy để trang này mở hoặc quay lại sau: vị trí của bạn được giữ.",
        "Tải lại trang không làm mất vị trí của bạn.",
    ],
    ticket: "Số thứ tự",
    updated: "Cập nhật",
    as_of: ["lúc ", ""],
    standstill: [
        "Cửa hàng hiện đã đầy. Hàng sẽ tiến lên khi có người rời đi.",
        "Những người đã đến lượt trước đó vừa quay lại và được vào trước. Vị trí của bạn được giữ.",
        "Cửa hàng tạm thời nhận ít người hơn, nên hàng tiến chậm hơn.",
    ],
    leave: "Rời khỏi hàng",
    leave_warning: "Bạn sẽ từ bỏ vị trí của mình. Nếu quay lại, bạn bắt đầu từ cuối hàng.",
    leave_confirm: "Từ bỏ vị trí của tôi",
    arriving: "Vui lòng chờ một chút",
    arriving_lead: "Bạn sắp nhận được vị trí trong hàng. Trang này tự động tiếp tục.",
    arriving_note: "Nếu không, hãy cho phép cookie của trang web này rồi thử lại.",
    called: "Sắp đến lượt bạn",
    called_lead: "Bạn đã lên đầu hàng. Hãy ở lại đây, bạn sẽ tự động được vào.",
    kept_note: "Hiện không thể xem tình trạng hàng chờ. Vị trí của bạn được giữ và trang này tiếp tục thử.",
    paused_note: "Hiện chưa cho ai vào. Vị trí của bạn được giữ.",
    before: "Chưa bắt đầu",
    drawing_lead: "Thứ tự của những người đến cùng lúc được quyết định bằng bốc thăm. Vị trí của bạn sẽ tự động hiển thị.",
    before_lead: "Bạn đã có vị trí trong hàng. Khi bắt đầu, mọi người vào theo thứ tự này và bạn tự động được vào.",
    starts_in: "Bắt đầu sau",
    over: "Sự kiện đã kết thúc",
    over_lead: "Không còn ai được vào nữa.",
    over_note: "Vị trí của bạn được giữ phòng khi có sự kiện khác.",
    resting_note: "Cửa hàng tạm thời không phản hồi. Vị trí của bạn được giữ và hàng sẽ tự động tiếp tục.",
    last_items_note: "Những sản phẩm cuối cùng đang được thanh toán. Vị trí của bạn được giữ: nếu còn sản phẩm, hàng sẽ tiếp tục.",
    sold_out: "Đã bán hết",
    sold_out_note: "Tất cả đã được bán. Vị trí của bạn được giữ: nếu có hàng trở lại, hàng chờ tiếp tục theo cùng thứ tự.",
    may_end_note: "Có nhiều người trước bạn: sản phẩm có thể bán hết trước lượt của bạn.",
    ended_note: "Thời gian của bạn bên trong đã hết, nên bạn đang xếp hàng lại.",
    held_title: "Chưa được gửi",
    held_lead: "Cửa hàng chưa nhận được biểu mẫu của bạn.",
    form_kept: "Mọi nội dung bạn đã điền được giữ trên trang này.",
    form_kept_how: [
        "Hãy để trang này mở: biểu mẫu sẽ tự động được gửi khi đến lượt bạn.",
        "Hãy để trang này mở và thỉnh thoảng nhấn nút: biểu mẫu được gửi khi đến lượt bạn.",
    ],
    form_part: "Nội dung bạn đã điền được giữ trên trang này, trừ mật khẩu, thông tin thẻ và tệp. Không được giữ:",
    form_part_how: [
        "Hãy để trang này mở: trang sẽ báo khi đến lượt bạn.",
        "Hãy để trang này mở và thỉnh thoảng nhấn nút: biểu mẫu được gửi khi đến lượt bạn.",
    ],
    form_lost: "Không thể giữ nội dung bạn đã điền trên trang này.",
    form_lost_how: [
        "Khi đến lượt bạn, trang này sẽ tải lại: hãy để trình duyệt gửi lại biểu mẫu, hoặc quay lại và gửi từ đó.",
        "Thỉnh thoảng tải lại trang này và để trình duyệt gửi lại biểu mẫu, hoặc quay lại và gửi từ đó.",
    ],
    form_turn: "Đã đến lượt bạn. Hãy quay lại để điền phần còn thiếu, hoặc gửi biểu mẫu mà không có phần đó.",
    form_send: "Gửi lại",
    gate_title: "Vui lòng chờ một chút",
    gate_lead: "Bạn đã ở bên trong. Hiện có nhiều người ở bước này, nên cửa hàng phục vụ lần lượt từng người.",
    gate_ahead: "Số người trước bạn ở bước này",
    gate_unit: "",
    gate_how: "Hãy để trang này mở: trang tự động tiếp tục khi đến lượt bạn.",
    gate_order: "Ai vào cửa hàng trước được phục vụ trước.",
    gate_away: "Hiện không thể kiểm tra lượt của bạn. Trang này tiếp tục thử.",
    pass_ending: "Thời gian của bạn trong cửa hàng sắp hết.",
    pass_last: "Thời gian của bạn trong cửa hàng sắp hết và không thể gia hạn. Hãy hoàn tất việc đang làm.",
    pass_ended: "Thời gian của bạn trong cửa hàng đã hết. Có thể bạn phải xếp hàng lại, hãy giữ một bản sao nội dung đã nhập.",
    pass_stay: "Ở lại cửa hàng",
    pass_close: "Đóng",

    check: "Kiểm tra ngay",
    answers: "Câu hỏi thường gặp",
    answers_back: "Quay lại hàng chờ",
    turn_until: ["Lượt của bạn được giữ đến ", "."],
    entering: "Đã đến lượt bạn. Bạn đang được vào.",
    notify: "Báo cho tôi khi đến lượt",
    notify_on: "Hãy để trang này mở: trang sẽ báo bằng âm thanh và, nếu trình duyệt cho phép, bằng thông báo.",
    moved: "Số người được gọi từ khi bạn mở trang này: {n}",
    questions: [
        "Tôi có thể mất vị trí không?",
        "Tôi có thể đóng trang này không?",
        "Còn phải chờ bao lâu?",
        "Còn lại bao nhiêu?",
        "Vì sao hàng đứng yên?",
    ],
    answer_place: "Không. Vị trí của bạn gắn với trình duyệt này và được giữ, cả khi bạn rời đi hoặc mất kết nối. Bạn chỉ mất vị trí nếu rời khỏi hàng hoặc xóa cookie của trang này.",
    answer_tab: "Có. Hãy quay lại bằng cùng trình duyệt: vị trí của bạn được giữ, và nếu đã đến lượt, bạn được vào trước. Nếu để trang mở, bạn sẽ tự động được vào.",
    answer_moving: "Hàng không đứng yên: mọi người đang lần lượt được vào.",
    answer_left: "Hiện vẫn còn hàng.",
    answer_untold: "Cửa hàng không cho trang này biết còn lại bao nhiêu.",

    last_call: Heading {
        title: "Hàng chờ đã đóng",
        lead: "Không còn cấp vị trí mới. Những người đang xếp hàng vẫn đến lượt mình.",
    },
    not_open: Heading {
        title: "Chưa bắt đầu", lead: "Chưa ai được vào trước giờ bắt đầu. Vui lòng quay lại khi đó."
    },
    event_over: Heading {
        title: "Sự kiện đã kết thúc", lead: "Không còn ai được vào nữa. Cảm ơn bạn đã quan tâm."
    },
    place_offered: Heading {
        title: "Một chỗ được giữ cho bạn",
        lead: "Nhấn nút để nhận chỗ trong trình duyệt này. Chỉ dùng được một lần.",
    },
    place_take: "Nhận chỗ của tôi",
    no_place: Heading {
        title: "Liên kết này không có chỗ nào",
        lead: "Liên kết có thể không đầy đủ, đã quá hạn hoặc đã bị thu hồi. Vui lòng hỏi người đã gửi cho bạn.",
    },
    suspended: Heading {
        title: "Tạm thời đóng cửa",
        lead: "Hiện chưa nhận thêm người mới. Nếu bạn đang xếp hàng, vị trí của bạn được giữ.",
    },
    full: Heading {
        title: "Hiện đã đầy", lead: "Hiện không còn chỗ. Vui lòng thử lại sau ít phút."
    },
    too_many: Heading {
        title: "Vui lòng chờ một chút",
        lead: "Có quá nhiều yêu cầu từ kết nối của bạn trong thời gian ngắn.",
    },
    left: Heading {
        title: "Bạn đã rời khỏi hàng",
        lead: "Vị trí của bạn dành cho người tiếp theo. Nếu quay lại, bạn nhận vị trí mới.",
    },
    busy: Heading {
        title: "Hiện rất đông",
        lead: "Trang web không xử lý kịp yêu cầu này. Vui lòng thử lại sau giây lát.",
    },
    failed: Heading {
        title: "Đã xảy ra lỗi", lead: "Trang web không phản hồi đúng. Vui lòng thử lại sau giây lát."
    },
    ended: Heading {
        title: "Thời gian của bạn bên trong đã hết",
        lead: "Biểu mẫu chưa được gửi. Hãy quay lại để giữ một bản sao nội dung đã viết, rồi lấy vị trí trong hàng.",
    },
    in_doubt: Heading {
        title: "Hãy xem đơn hàng của bạn trước",
        lead: "Nội dung bạn gửi đã đến cửa hàng nhưng không có phản hồi. Đơn hàng có thể đã được nhận: hãy xem đơn hàng trước khi gửi lại.",
    },
    refreshes: "Trang này tự động kiểm tra lại.",
    try_again: "Thử lại",
    go_back: "Quay lại trang web",
    error: "Lỗi",
    request: "Yêu cầu",
};
