//! Errors of the API: problem details (RFC 9457) that say what is wrong, where, and how to mend it.

use axum::body::to_bytes;
use axum::extract::rejection::{JsonRejection, StringRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policy::action::Refused;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ops::fleet::NotSwitched;

/// Bytes of a text that is put into that form.
const LONGEST: usize = 64 << 10;
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// The words of the status code.
    #[schema(value_type = String)]
    pub title: Box<str>,
    /// The status code.
    pub status: u16,
    /// What is wrong.
    #[schema(value_type = String)]
    pub detail: Box<str>,
    /// The field that it is about, as a JSON pointer.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// All that is wrong with a text of rooms, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl Problem {
    /// Of this status.
    pub(crate) fn new(status: StatusCode, detail: impl Into<Box<str>>) -> Self {
        let title = status.canonical_reason().unwrap_or_default().into();
        Self { title, status: status.as_u16(), detail: detail.into(), ..Self::default() }
    }

    /// The same, with how to mend it.
    #[must_use]
    pub(crate) fn mended_by(self, how: impl Into<String>) -> Self {
        Self { how: Some(how.into()), ..self }
    }

    /// The same, about a field of the body.
    #[must_use]
    pub(crate) fn about(self, field: &str) -> Self {
        Self { place: Some(format!("#/{field}")), ..self }
    }

    /// In one text, for people.
    pub(crate) fn told(&self) -> String {
        let place =
            self.place.as_deref().map(|place| format!("{}: ", place.trim_start_matches("#/"))).unwrap_or_default();
        let how = self.how.as_deref().map(|how| format!(": {how}")).unwrap_or_default();
        let last = format!("{place}{}{how}", self.detail);
        self.problems.iter().cloned().chain([last]).collect::<Vec<_>>().join("\n")
    }
}

/// What is refused before a call is understood, such as a query that cannot be read, a method or an address that is not there,
/// in the same form.
pub(super) async fn in_one_form(response: Response) -> Response {
    let is_text =
        response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !response.status().is_client_error() || !is_text {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, LONGEST).await.unwrap_or_default();
    let detail = String::from_utf8_lossy(&text);
    let words =
        if detail.trim().is_empty() { parts.status.canonical_reason().unwrap_or_default() } else { detail.trim() };
    let mut answer = Problem::new(parts.status, words).into_response();
    if let Some(methods) = parts.headers.get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, methods.clone());
    }
    answer
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Plain data in memory: it cannot fail.
        let text = serde_json::to_string(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], text).into_response()
    }
}

impl From<Refused> for Problem {
    /// A field that cannot be used, or a state in which that is not done.
    fn from(Refused { field, what, how }: Refused) -> Self {
        match field {
            Some(field) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, what).mended_by(how).about(field),
            None => Self::new(StatusCode::CONFLICT, what).mended_by(how),
        }
    }
}

impl From<NotSwitched> for Problem {
    fn from(error: NotSwitched) -> Self {
        let status = match &error {
            NotSwitched::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            NotSwitched::Other(_) | NotSwitched::Undoes(_) | NotSwitched::Done => StatusCode::CONFLICT,
            NotSwitched::Unknown(_) => StatusCode::NOT_FOUND,
            NotSwitched::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            NotSwitched::Unread(_) => StatusCode::BAD_REQUEST,
            NotSwitched::Foreign | NotSwitched::Busy | NotSwitched::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let problem = Self::new(status, error.to_string());
        match error {
            NotSwitched::Invalid(problems) => Self { problems, ..problem },
            _ => problem,
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let problem = Self::new(rejection.status(), rejection.body_text());
        match rejection.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                problem.mended_by("send an object of JSON, with Content-Type: application/json")
            }
            StatusCode::PAYLOAD_TOO_LARGE => problem.mended_by("send only the fields of this call"),
            _ => problem,
        }
    }
}

impl From<StringRejection> for Problem {
    fn from(rejection: StringRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => NotSwitched::TooLong.into(),
            _ => NotSwitched::Unread(rejection.body_text()).into(),
        }
    }
}
