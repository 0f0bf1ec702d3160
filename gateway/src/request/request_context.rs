//! One request, from its head to its access line.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{HeaderName, SET_COOKIE, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body::Body as _;
use policy::admit::{Credential, Intent};
use policy::ticket::{Kind, Token};

use crate::client::body::Body;
use crate::client::connection::InFlight;
use crate::client::headers::PassHeaders;
use crate::client::visitor::{self, BadHost, Head, Host, Peer};
use crate::in_force::site::{Site, SiteRoom};
use crate::line::rooms::RoomMeters;
use crate::log::access::{AccessEntry, Line, RequestLine};
use crate::quota::Client;
use crate::request::worker::Worker;
use crate::telemetry::{Disposition, RequestVerdict};
use crate::ui::{Coding, Language, QueuePosition};

/// The coding that a visitor takes.
pub(crate) fn coding(head: &Head<'_>) -> Coding {
    if head.accept_encoding.is_some_and(visitor::takes_gzip) { Coding::Gzip } else { Coding::Identity }
}

/// The wanted form of the gateway's own answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// A page.
    Page,
    /// JSON.
    Json,
    /// A line of text.
    Text,
}

impl Wants {
    fn of(accept: Option<&HeaderValue>) -> Self {
        let has = |kind: &str| accept.and_then(|a| a.to_str().ok()).is_some_and(|accept| accept.contains(kind));
        match () {
            () if has("text/html") => Self::Page,
            () if has("application/json") => Self::Json,
            () => Self::Text,
        }
    }
}

/// A form to be held by the page of the answer.
#[derive(Debug)]
pub(crate) struct Unsent {
    /// The place of its sender.
    pub standing: QueuePosition,
    /// The sender is asked to confirm, and has no place yet.
    pub arriving: bool,
}

/// The state of a request while it is answered.
#[derive(Debug)]
pub(crate) struct RequestContext<'a> {
    /// The worker that answers it.
    pub worker: &'a Rc<Worker>,
    /// The configuration in force when it came.
    pub site: &'a Site,
    /// Arrival of its head.
    pub started: Instant,
    /// The same, by the counter of the processor.
    began: u64,
    /// The shopper's address, as far as it can be trusted.
    pub client: IpAddr,
    /// Whether the shopper's side is TLS.
    pub tls: bool,
    /// Its room, once found.
    pub room: Option<&'a Arc<SiteRoom>>,
    /// Its credential.
    pub credential: Credential,
    /// Whether tokens come and go in the header `Weir-Token`, not in a cookie.
    pub by_header: bool,
    /// Its kind.
    pub intent: Intent,
    /// The form of the gateway's answer, if it differs from its `Accept`.
    wants: Option<Wants>,
    accept: Option<HeaderValue>,
    /// Its verdict.
    pub verdict: RequestVerdict,
    /// Whether the shopper comes with a pass that has run out: then the page says why the wait begins again.
    pub ended: bool,
    /// A form that was not forwarded, and that the page of the answer may hold.
    pub unsent: Option<Unsent>,
    /// Why a token did not count, or the failure.
    pub reason: &'static str,
    /// The way it failed at the shop, if that gave no answer.
    pub unanswered: Option<Disposition>,
    /// The upstream that got it.
    pub upstream: &'a str,
    /// Time until the head of the upstream's answer.
    pub upstream_after: Option<Duration>,
    /// The request line, if an access line is to be written.
    asked: Option<Box<RequestLine>>,
    /// Its id.
    pub request_id: HeaderValue,
    /// Its host, once read.
    pub host: Option<Rc<Host>>,
    /// The origin of the page that sent it.
    pub origin: Option<HeaderValue>,
    coding: Coding,
    accept_language: Option<HeaderValue>,
    in_flight: InFlight,
}

impl<'a> RequestContext<'a> {
    /// Reads the parts that every request has.
    pub(crate) fn begin(worker: &'a Rc<Worker>, site: &'a Site, in_flight: InFlight, head: &Head<'_>) -> Self {
        let (peer, headers) = (&in_flight.connection().peer, &head.parts.headers);
        let trusted = &site.config.listen.trusted_proxies;
        Self {
            worker,
            site,
            started: Instant::now(),
            began: worker.pool.raw_time(),
            client: visitor::client_address(peer, headers, trusted),
            tls: visitor::is_tls(in_flight.connection().tls, peer, headers),
            room: None,
            credential: Credential::None,
            by_header: false,
            intent: Intent::Other,
            wants: None,
            accept: head.accept.cloned(),
            verdict: RequestVerdict::BadRequest,
            ended: false,
            unsent: None,
            reason: "",
            unanswered: None,
            upstream: "",
            upstream_after: None,
            asked: site.config.log.access.then(|| Box::new(RequestLine::of(head.parts))),
            request_id: visitor::request_id(peer, headers, || worker.request_id()),
            host: None,
            origin: head.origin().cloned(),
            coding: Coding::Identity,
            accept_language: head.accept_language.cloned(),
            in_flight,
        }
    }

    /// Reads the host of the request.
    pub(crate) fn read_host(&mut self, head: &Head<'_>) -> Result<Rc<Host>, BadHost> {
        let host = self.in_flight.connection().cache.host(head)?;
        self.host = Some(host.clone());
        Ok(host)
    }

    /// Reads the credential for this room.
    pub(crate) fn look_at(&mut self, room: &'a Arc<SiteRoom>, head: &Head<'_>) {
        self.room = Some(room);
        let (sealer, known) = (&self.site.sealer, &self.in_flight.connection().cache);
        let open = |text: &[u8]| known.open(sealer, room.live.id, text);
        let in_header = visitor::token_in_header(head);
        self.by_header = in_header.is_some();
        self.credential = match in_header {
            Some(b"") => Credential::None,
            Some(text) => open(text).map_or_else(Credential::Bad, Credential::Sealed),
            None => {
                match (visitor::credential(head, room.cookie.name(self.tls), open), room.cookie.name_in_clear(self.tls))
                {
                    (Credential::None, Some(name)) => visitor::credential_in_clear(head, name, open),
                    (shown, _) => shown,
                }
            }
        };
    }

    /// Reads the kind of the request.
    pub(crate) fn read_intent(&mut self, room: &SiteRoom, head: &Head<'_>) {
        let parts = head.parts;
        let sent_back = || [Method::GET, Method::POST].contains(&parts.method) && visitor::upgrade(parts).is_none();
        self.intent = if room.takes_returns(parts.uri.path()) && sent_back() {
            Intent::Return
        } else {
            visitor::intent(parts, room.config.json_response_enabled)
        };
        if self.intent == Intent::Form && visitor::is_submitted(head, self.tls) {
            self.intent = Intent::Submit;
        }
        match self.intent {
            Intent::Form if self.wants() == Wants::Text && visitor::is_json(&head.parts.headers) => {
                self.wants = Some(Wants::Json);
            }
            Intent::Page | Intent::Submit => {
                self.wants = Some(Wants::Page);
                self.take_coding(head);
            }
            Intent::Json => self.wants = Some(Wants::Json),
            _ if self.by_header => self.wants = Some(Wants::Json),
            _ => {}
        }
    }

    /// Reads the coding of a page that the visitor takes.
    pub(crate) fn take_coding(&mut self, head: &Head<'_>) {
        self.coding = coding(head);
    }

    /// The form of the gateway's answer.
    pub(crate) fn wants(&self) -> Wants {
        self.wants.unwrap_or_else(|| Wants::of(self.accept.as_ref()))
    }

    /// Makes the answer a line of text, whatever it accepts.
    pub(crate) fn answer_in_text(&mut self) {
        self.wants = Some(Wants::Text);
    }

    /// The header that stores this token at the client: a cookie, or `Weir-Token` for a client that sends that.
    pub(crate) fn keep(&self, room: &SiteRoom, token: &Token) -> Option<(HeaderName, HeaderValue)> {
        let sealed = self.site.sealer.seal(room.live.id, token);
        if self.by_header {
            return Some((visitor::WEIR_TOKEN.clone(), HeaderValue::try_from(sealed).ok()?));
        }
        Some((SET_COOKIE, room.cookie.keep(&sealed, token, self.tls)?))
    }

    /// The header that takes the token away.
    pub(crate) fn end_token(&self, room: &SiteRoom) -> Option<(HeaderName, HeaderValue)> {
        if self.by_header {
            return Some((visitor::WEIR_TOKEN.clone(), HeaderValue::from_static("")));
        }
        Some((SET_COOKIE, room.cookie.end(self.tls)?))
    }

    /// An arrival that no client has yet.
    pub(crate) fn new_arrival(&self, room: &SiteRoom) -> Token {
        Token::arrival(self.worker.arrival_id(), room.live.snapshot().store_time(self.started))
    }

    /// The token, if one with a valid seal was shown.
    pub(crate) fn token(&self) -> Option<Token> {
        match self.credential {
            Credential::Sealed(token) => Some(token),
            _ => None,
        }
    }

    /// The headers that name the shopper's pass to the upstream.
    pub(crate) fn pass_headers(&self, room: &SiteRoom, pass: &Token) -> Rc<PassHeaders> {
        let known = &self.in_flight.connection().cache;
        known.pass_headers(&self.site.sealer, room.live.id, &room.name, pass)
    }

    /// The page for this place is to hold the form, if one was sent.
    pub(crate) fn hold_form(&mut self, standing: QueuePosition, arriving: bool) {
        if self.intent == Intent::Submit {
            self.unsent = Some(Unsent { standing, arriving });
        }
    }

    /// The best language for the shopper, and the coding of a page. `set` is the language for shoppers who ask for none of ours.
    pub(crate) fn language_and_coding(&self, set: Option<Language>) -> (Language, Coding) {
        let asked = self.accept_language.as_ref().and_then(|value| value.to_str().ok());
        (Language::pick(asked.unwrap_or_default(), set), self.coding)
    }

    /// Charges a request of a room to the place of its sender. Without one only a costly part is charged,
    /// to the address: opening an invalid token. The cost of an arrival is charged when it is traded.
    pub(crate) fn charge(&self) -> Result<(), Duration> {
        let client = match (self.room, self.credential) {
            (_, Credential::None | Credential::Sealed(Token { kind: Kind::Arrival, .. })) => return Ok(()),
            (Some(room), Credential::Sealed(token)) => Client::Place(room.live.id, token.number),
            _ => Client::at(self.client),
        };
        self.site.quotas.requests.charge(client)
    }

    /// Charges a new place to the address.
    pub(crate) fn charge_join(&self) -> Result<(), Duration> {
        self.site.quotas.joins.charge(Client::at(self.client))
    }

    /// Charges a return from a payment without a pass to the address.
    pub(crate) fn charge_return(&self) -> Result<(), Duration> {
        self.site.quotas.returns.charge(Client::at(self.client))
    }

    /// Charges a place taken by an arrival to the address.
    pub(crate) fn charge_confirmed_join(&self) -> Result<(), Duration> {
        self.site.quotas.confirmed_joins.charge(Client::at(self.client))
    }

    /// A newcomer is charged to the peer's address. An untrusted peer that speaks for others is reported to the operator.
    pub(crate) fn note_peer_of_newcomer(&self, headers: &HeaderMap) {
        if self.in_flight.connection().is_to_be_asked_for_others() && visitor::tells_of_others(headers) {
            self.note_unbelieved();
        }
    }

    /// The peer named another client, and is not trusted.
    pub(crate) fn note_unbelieved(&self) {
        let shared = &self.worker.shared;
        shared.unbelieved.note(self.peer().address, *shared.clock.borrow());
    }

    /// The peer of the connection.
    pub(crate) fn peer(&self) -> &Peer {
        &self.in_flight.connection().peer
    }

    /// Sets whether the shopper holds a pass.
    pub(crate) fn holds_pass(&self, holder: bool) {
        self.in_flight.holds_pass(holder);
    }

    /// The counters of its room, or of the traffic of none.
    pub(crate) fn meters(&self) -> &RoomMeters {
        self.room.map_or(&self.site.outside, |room| room.live.meters())
    }

    /// Counts and logs the request; it is in flight until the answer's last byte.
    #[inline]
    pub(crate) fn end(mut self, response: &mut Response<Body>) {
        let disposition = self.unanswered.unwrap_or_else(|| self.verdict.disposition());
        self.meters().answered(self.verdict, disposition, response.status());
        self.worker.shared.request_meters.answered(disposition, self.worker.pool.since(self.began));
        let line = self.asked.take().and_then(|asked| self.line(&asked, response));
        if let Some(hsts) = self.site.hsts.as_ref().filter(|_| self.tls) {
            response.headers_mut().entry(STRICT_TRANSPORT_SECURITY).or_insert_with(|| hsts.clone());
        }
        response.body_mut().answers(self.in_flight, line);
    }

    /// Its access line. The bytes of a streamed answer are counted as they go.
    #[cold]
    fn line(&self, asked: &RequestLine, response: &Response<Body>) -> Option<Box<Line>> {
        let entry = AccessEntry {
            asked,
            client: self.client,
            host: self.host.as_ref().map_or("", |host| &host.bare),
            room: self.room.map_or("", |room| &room.config.name),
            verdict: self.verdict.name(),
            reason: self.reason,
            status: response.status(),
            upstream: self.upstream,
            upstream_after: self.upstream_after,
            started: self.started,
            request_id: self.request_id.to_str().unwrap_or(""),
        };
        let mut line = Line::begin(&entry, &self.site.config.log, &self.site.sealer)?;
        if !matches!(response.body(), Body::Stream(_)) {
            let bytes = response.body().size_hint().exact().unwrap_or(0);
            line.sent(if asked.is_head() { 0 } else { bytes });
            line.ends_whole();
        }
        Some(line)
    }
}
