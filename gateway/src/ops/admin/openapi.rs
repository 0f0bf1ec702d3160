//! The description of the API (`OpenAPI` 3.1), made of the routes that are served: `GET /api/openapi.json`.
//!
//! What a call takes and answers stands beside its handler. What all have in common is added here: the role that a call takes, as
//! `access` asks for it, and the form of errors.
//!
//! Out of scope: probes and `/metrics`, which are no part of the API.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Content, Ref, RefOr, Response as Described};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use super::asked::cookie_name;
use super::live::About;
use super::problem::Problem;
use crate::ops::live::Sample;
use crate::ops::operators::Role;
use crate::ops::schema::ActionName;

/// The scheme of `Authorization: Bearer`.
const TOKEN: &str = "token";
/// The scheme of the cookie of a session.
const SESSION: &str = "session";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Weir",
        description = "The API of a gateway's operators, at its admin listener. A call shows the token of an operator, or the cookie of a session; the roles of a call are \
            the least one that it takes: a viewer looks, an operator acts on rooms, an admin changes them. Where the configuration names no \
            token and no operators, any caller on loopback is an admin. Errors are problem details (RFC 9457)."
    ),
    components(schemas(Problem, Sample, About, ActionName))
)]
struct Document;

/// The text, once all routes are known.
#[derive(Clone, Default)]
struct Text(Arc<OnceLock<Bytes>>);

/// A router of the API without calls, to which they are added.
pub(super) fn begin() -> OpenApiRouter {
    OpenApiRouter::with_openapi(Document::openapi())
}

/// These calls, and one more that describes all of them.
pub(super) fn described(calls: OpenApiRouter) -> Router {
    let text = Text::default();
    let (router, mut api) =
        calls.merge(OpenApiRouter::new().routes(routes!(tell)).with_state(text.clone())).split_for_parts();
    let components = api.components.get_or_insert_with(Components::new);
    components.add_security_scheme(TOKEN, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let cookie = ApiKeyValue::new(cookie_name(true));
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            complete(operation, &method, path);
        }
    }
    // Plain data in memory: it cannot fail.
    let _ = text.0.set(api.to_pretty_json().unwrap_or_default().into());
    router
}

fn operations(item: &mut PathItem) -> Vec<(Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?))).collect()
}

/// Adds what all calls have in common.
fn complete(operation: &mut Operation, method: &Method, path: &str) {
    let way = |scheme, role: Role| SecurityRequirement::new(scheme, [role.name()]);
    let ways = access::needed(method, path).map(|role| vec![way(TOKEN, role), way(SESSION, role)]);
    operation.security = Some(ways.unwrap_or_default());
    let responses = &mut operation.responses.responses;
    for (status, why) in [
        ("401", "no token, or none that counts"),
        ("403", "another role, a `Host` or `Origin` that is not the listener's, or a session in clear"),
        ("default", "any other error"),
    ] {
        responses.entry(status.to_owned()).or_insert_with(|| Described::new(why).into());
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response
            && !status.starts_with('2')
        {
            let problem = Content::new(Some(Ref::from_schema_name("Problem")));
            response.content.insert("application/problem+json".to_owned(), problem.into());
        }
    }
}

/// This description.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "description",
    operation_id = "openapi",
    responses((status = OK, description = "OpenAPI 3.1", body = Object)),
)]
async fn tell(State(text): State<Text>) -> Response {
    ([(header::CONTENT_TYPE, JSON)], text.0.get().cloned().unwrap_or_default()).into_response()
}
