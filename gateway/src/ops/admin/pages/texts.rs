//! What the pages for operators say.

use serde::Serialize;

use crate::ui::Language;

/// Every text of them. Plain text; it is escaped where it is put into HTML.
#[derive(Debug, Serialize)]
pub(super) struct Texts {
    pub(super) log_in: &'static str,
    token: &'static str,
    hint: &'static str,
    pub(super) wrong: &'static str,
    pub(super) too_many: &'static str,
    pub(super) elsewhere: &'static str,
    pub(super) failed: &'static str,
    in_clear: &'static str,
    link_lead: &'static str,
    link_button: &'static str,
    pub(super) link_is_over: &'static str,
    nobody: &'static str,
    pub(super) home: &'static str,
    name: &'static str,
    role: &'static str,
    ends: &'static str,
    log_out: &'static str,
    console: &'static str,
    api: &'static str,
    /// Each role, and what it may.
    pub(super) viewer: (&'static str, &'static str),
    pub(super) operator: (&'static str, &'static str),
    pub(super) admin: (&'static str, &'static str),
    pub(super) by_proxy: &'static str,
    pub(super) by_nothing: &'static str,
}

impl Texts {
    /// What operators can read here.
    pub(super) const LANGUAGES: [Language; 2] = [Language::English, Language::Korean];

    /// The texts in one of them.
    pub(super) fn of(language: Language) -> &'static Self {
        if language == Language::Korean { &KOREAN } else { &ENGLISH }
    }
}

const ENGLISH: Texts = Texts {
    log_in: "Log in",
    token: "Your token",
    hint: "As it was printed by weir operators add. You stay logged in for 12 hours.",
    wrong: "No operator has this token.",
    too_many: "Too many tries. Wait a few seconds and try again.",
    elsewhere: "This form came from another site. Log in here.",
    failed: "That did not work. Try again.",
    in_clear: "There is no encryption on this connection, so there is no log-in. Add [admin.tls] to the configuration, or log in on the machine itself, at 127.0.0.1.",
    link_lead: "There is no operator yet. This link logs you in as admin, once.",
    link_button: "Log in as admin",
    link_is_over: "This link does not count, or not any more. Each counts once, for 15 minutes.",
    nobody: "There is no operator yet. Open the link in the log of this gateway's start, or add one on its machine:",
    home: "You are logged in",
    name: "Name",
    role: "Role",
    ends: "Until",
    log_out: "Log out",
    console: "The console",
    api: "The API, described by OpenAPI",
    viewer: ("Viewer", "May look."),
    operator: ("Operator", "May look, and act on rooms."),
    admin: ("Admin", "May look, act on rooms, and change them."),
    by_proxy: "The single-sign-on proxy says who you are. Log out there.",
    by_nothing: "This listener asks for no token: whoever reaches it on this machine is an admin.",
};

const KOREAN: Texts = Texts {
    log_in: "로그인",
    token: "내 토큰",
    hint: "weir operators add 명령이 출력한 토큰입니다. 12시간 동안 로그인이 유지됩니다.",
    wrong: "이 토큰을 가진 운영자가 없습니다.",
    too_many: "시도가 너무 많습니다. 몇 초 뒤에 다시 시도해 주세요.",
    elsewhere: "다른 사이트에서 보낸 양식입니다. 여기에서 로그인해 주세요.",
    failed: "로그인하지 못했습니다. 다시 시도해 주세요.",
    in_clear: "암호화되지 않은 연결에서는 로그인할 수 없습니다. 설정에 [admin.tls]를 추가하거나, 해당 서버에서 127.0.0.1로 접속해 로그인해 주세요.",
    link_lead: "아직 등록된 운영자가 없습니다. 이 링크로 한 번만 관리자로 로그인할 수 있습니다.",
    link_button: "관리자로 로그인",
    link_is_over: "사용할 수 없거나 만료된 링크입니다. 링크는 15분 안에 한 번만 사용할 수 있습니다.",
    nobody: "아직 등록된 운영자가 없습니다. 게이트웨이 시작 로그에 있는 링크를 열거나, 서버에서 운영자를 추가해 주세요.",
    home: "로그인되었습니다",
    name: "이름",
    role: "역할",
    ends: "만료 시각",
    log_out: "로그아웃",
    console: "콘솔",
    api: "OpenAPI로 작성된 API 설명",
    viewer: ("조회자", "조회만 할 수 있습니다."),
    operator: ("운영자", "조회하고 대기실을 조작할 수 있습니다."),
    admin: ("관리자", "조회하고 대기실을 조작하며 설정을 변경할 수 있습니다."),
    by_proxy: "통합 인증 프록시로 로그인했습니다. 로그아웃도 그곳에서 할 수 있습니다.",
    by_nothing: "이 관리 주소는 토큰을 요구하지 않습니다. 이 서버에서 접속하면 누구나 관리자입니다.",
};
