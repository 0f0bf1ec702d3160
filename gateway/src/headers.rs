//! stub
use http::HeaderMap;
use http::request::Parts;
pub fn to_upstream(p: &mut Parts, _: &()) {
    let h = p.uri.host().map(str::to_owned);
    let pq = p.uri.path_and_query().cloned();
    p.uri = http::uri::Uri::from(pq.unwrap());
    p.headers.remove("connection");
    let _ = h;
}
pub fn to_shopper(h: &mut HeaderMap) -> bool {
    h.remove("weir-command").is_some()
}
pub fn make_private(h: &mut HeaderMap) {
    h.insert("cache-control", http::HeaderValue::from_static("private, no-store"));
}
