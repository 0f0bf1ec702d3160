//! A launch's crowd over real sockets: that of the load test, each request at a random gateway. Its evidence
//! is turned into what [`super::account`] judges.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use evidence::RequestRecord;
use launch_model::arrivals::{Arrivals, Phase, Spacing};
use launch_model::persona::Persona;
use launch_model::scenario::Scenario;
use launch_model::token;
use loadtest::crowd::{Part, Sending, Watch, send};
use loadtest::wire::Target;
use policy::ticket::{Kind, Token};
use tokio_util::sync::CancellationToken;

/// Share of people who come back and ask in two tabs at once.
const TWO_TABS: f64 = 0.2;

/// The crowd.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) arrivals: Vec<Phase>,
    /// Share of people who see the line and never come back, 0 to 1.
    pub(crate) no_shows: f64,
    /// The same seed, the same people.
    pub(crate) seed: u64,
}

impl Plan {
    /// A shopper who is not inside after two minutes has lost their place. None gives up before.
    fn scenario(&self) -> Scenario {
        let show = 1.0 - self.no_shows;
        let text = format!(
            "name = 'losses'\nseed = {}\nclosing = '2m'\narrivals = []\n\
             shoppers = {{ no_show = {}, second_tab = {}, patient = {} }}\n\
             [room]\nnew_users_per_minute = 60\nsession_duration = '10m'\n\
             [habits]\nthink = ['500ms', '4s']\nretries = 1000\nagain = ['500ms', '500ms']\npatience = '15s'\n",
            self.seed,
            self.no_shows,
            show * TWO_TABS,
            show * (1.0 - TWO_TABS),
        );
        toml::from_str(&text).unwrap()
    }
}

/// Something that a shopper was given, and by which gateway.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) token: Token,
    pub(crate) gateway: usize,
}

/// The record of one shopper.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Visit {
    /// Whether they come back after they saw a line.
    pub(crate) shows: bool,
    /// Every token that their cookie has held.
    pub(crate) held: Vec<Held>,
    pub(crate) position_grew: bool,
    pub(crate) entered: bool,
    /// They were inside, and met the line again.
    pub(crate) thrown_out: bool,
    /// Both of their tabs got in at the same moment.
    pub(crate) both_in: bool,
    /// Answers 5xx.
    pub(crate) errors: usize,
    /// Requests without an answer, but for those that no gateway took: there a load balancer asks the next.
    pub(crate) unanswered: usize,
}

impl From<evidence::Visit> for Visit {
    fn from(visit: evidence::Visit) -> Self {
        let inside = |failed: fn(&RequestRecord) -> bool| visit.asked.iter().filter(|asked| failed(asked)).count();
        let mut at_once = HashMap::new();
        for asked in visit.asked.iter().filter(|asked| asked.status == Some(200)) {
            *at_once.entry(asked.due).or_insert(0) += 1;
        }
        let held = |held: &evidence::Held| Held { token: as_of_the_policy(held.token), gateway: held.target.into() };
        Self {
            shows: visit.persona != Persona::NoShow,
            held: visit.held.iter().map(held).collect(),
            position_grew: visit.positions_grown > 0,
            entered: visit.entered.is_some(),
            thrown_out: visit.thrown_out,
            both_in: at_once.values().any(|&pages| pages > 1),
            errors: visit.errors_outside as usize + inside(|asked| asked.status.is_some_and(|status| status >= 500)),
            unanswered: visit.unanswered_outside as usize + inside(|asked| asked.status.is_none()),
        }
    }
}

fn as_of_the_policy(seen: token::Token) -> Token {
    let kind = match seen.kind {
        token::Kind::Ticket => Kind::Ticket,
        token::Kind::Pass => Kind::Pass,
        token::Kind::Provisional => Kind::Provisional,
    };
    Token { kind, incarnation: 0, number: seen.number, issued: seen.issued_ms, expires: seen.expires_ms, admitted: 0 }
}

/// A crowd on its way.
pub(crate) struct Crowd {
    evidence: JoinHandle<evidence::Evidence>,
    watch: Watch,
}

impl Crowd {
    /// Sends these people to the gateways at these addresses.
    pub(crate) fn send(gateways: &[SocketAddr], plan: &Plan) -> Self {
        let watch = Watch::default();
        let (scenario, seen) = (Arc::new(plan.scenario()), watch.clone());
        let arrivals = Arrivals::new(plan.arrivals.clone(), Spacing::Poisson, plan.seed);
        let targets = gateways.iter().map(|&address| Target::plain(address, "shop.example")).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sending = async move {
            let start = tokio::time::Instant::now();
            let sending = Sending { scenario, arrivals, targets, part: Part::ALL, start };
            send(sending, seen, CancellationToken::new()).await
        };
        Self { evidence: std::thread::spawn(move || runtime.block_on(sending)), watch }
    }

    /// People who are inside by now, or were.
    pub(crate) fn entered(&self) -> usize {
        self.watch.progress().entered as usize
    }

    /// Waits until all have left.
    pub(crate) fn gone(self) -> Vec<Visit> {
        let evidence = self.evidence.join().unwrap();
        assert_eq!(evidence.generators[0].local_failures, 0, "this machine had ports for all");
        evidence.visits.into_iter().map(Visit::from).collect()
    }
}
