//! Korean, in the polite formal style.

use super::{Heading, Texts};

pub(super) static TEXTS: Texts = Texts {
    thousands: ",",
    seconds: ["약 {a}~{b}초", "{b}초 이내", "약 {b}초"],
    minutes: ["약 {a}~{b}분", "{b}분 이내", "약 {b}분"],
    hours: ["약 {a}~{b}시간", "{b}시간 이내", "약 {b}시간"],
    unknown: "아직 알 수 없습니다. 순서는 유지됩니다.",

    title: "순서를 기다리고 있습니다",
    lead: "지금 접속하신 분이 많아 순서대로 입장을 도와드리고 있습니다.",
    place: "나의 대기 순서",
    place_unit: "번째",
    progress: "대기 진행 정도",
    wait: "예상 대기 시간",
    next: "이렇게 진행됩니다",
    steps: [
        "차례가 되면 자동으로 입장합니다.",
        "이 화면을 열어 두시거나 나중에 다시 오셔도 순서는 유지됩니다.",
        "새로고침을 하셔도 순서는 바뀌지 않습니다.",
    ],
    ticket: "대기 번호",
    updated: "마지막 확인",
    leave: "대기 그만두기",
    leave_warning: "지금 순서를 포기하게 됩니다. 다시 오시면 맨 뒤에서 기다리셔야 합니다.",
    leave_confirm: "순서 포기하기",
    arriving: "잠시만 기다려 주십시오",
    arriving_lead: "곧 대기 순서를 받으시게 됩니다. 화면은 자동으로 넘어갑니다.",
    arriving_note: "넘어가지 않으면 이 사이트의 쿠키를 허용하신 뒤 다시 시도해 주시기 바랍니다.",
    called: "곧 입장합니다",
    called_lead: "차례가 되었습니다. 이 화면에서 잠시만 기다려 주시면 자동으로 입장합니다.",
    kept_note: "지금은 대기 상황을 확인할 수 없습니다. 순서는 유지되며, 자동으로 다시 확인합니다.",
    paused_note: "지금은 입장이 잠시 멈추어 있습니다. 순서는 유지됩니다.",
    resting_note: "쇼핑몰이 잠시 숨을 고르고 있습니다. 순서는 유지되며, 입장은 자동으로 다시 시작됩니다.",

    suspended: Heading {
        title: "잠시 이용이 중단되었습니다",
        lead: "지금은 새로 입장하실 수 없습니다. 이미 기다리고 계셨다면 순서는 유지됩니다.",
    },
    full: Heading {
        title: "지금은 자리가 없습니다",
        lead: "입장 인원이 모두 찼습니다. 잠시 후 다시 시도해 주시기 바랍니다.",
    },
    too_many: Heading {
        title: "잠시만 기다려 주십시오",
        lead: "짧은 시간에 같은 연결에서 너무 많은 요청이 들어왔습니다.",
    },
    left: Heading {
        title: "대기를 그만두셨습니다",
        lead: "순서는 다음 분께 돌아갔습니다. 다시 오시면 새 순서를 받으시게 됩니다.",
    },
    busy: Heading {
        title: "지금은 이용자가 매우 많습니다",
        lead: "요청을 제때 처리하지 못했습니다. 잠시 후 다시 시도해 주시기 바랍니다.",
    },
    failed: Heading {
        title: "문제가 발생했습니다",
        lead: "사이트가 정상적으로 응답하지 않았습니다. 잠시 후 다시 시도해 주시기 바랍니다.",
    },
    refreshes: "이 화면은 자동으로 다시 확인합니다.",
    try_again: "다시 시도하기",
    go_back: "사이트로 돌아가기",
    error: "오류",
    request: "요청 번호",
};
