//! The samples of the last hour, and word of the newest one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::Sample;

/// Samples that are kept: those of an hour.
pub(crate) const SAMPLES: usize = 3_600;
/// How far the clocks of two gateways may be apart, in milliseconds, so that a reader can go on at the other one.
const CLOCKS: u64 = 5_000;

/// The last hour.
#[derive(Debug)]
pub(crate) struct Hour {
    samples: Mutex<Samples>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Samples {
    /// By id.
    kept: VecDeque<Arc<Sample>>,
    /// The id of the last one that is not kept any more; 0: there is none.
    dropped: u64,
}

/// What comes after a sample.
#[derive(Debug)]
pub(crate) enum Next {
    /// This one.
    Sample(Arc<Sample>),
    /// None so far.
    Later,
    /// One that is not kept any more.
    Gone,
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// After the sample of this id.
    pub after: u64,
    /// Whether nothing is missing since the one that the reader saw last; `None`: it saw none.
    pub resumed: Option<bool>,
}

impl Default for Hour {
    fn default() -> Self {
        Self { samples: Mutex::default(), newest: watch::Sender::new(0) }
    }
}

impl Hour {
    /// Adds a sample. Its id is its time, and above all before it, also when the clock is set back.
    pub(crate) fn push(&self, mut sample: Sample) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let before = samples.kept.back().map_or(0, |newest| newest.at_ms);
        sample.at_ms = sample.at_ms.max(before + 1);
        let id = sample.at_ms;
        samples.kept.push_back(Arc::new(sample));
        if samples.kept.len() > SAMPLES {
            samples.dropped = samples.kept.pop_front().map_or(0, |oldest| oldest.at_ms);
        }
        drop(samples);
        self.newest.send_replace(id);
    }

    /// The sample after the one of this id.
    pub(crate) fn after(&self, id: u64) -> Next {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if id < samples.dropped {
            return Next::Gone;
        }
        let at = samples.kept.partition_point(|sample| sample.at_ms <= id);
        samples.kept.get(at).map_or(Next::Later, |sample| Next::Sample(sample.clone()))
    }

    /// The samples from this time on, oldest first.
    pub(crate) fn from(&self, at_ms: u64) -> Vec<Arc<Sample>> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let first = samples.kept.partition_point(|sample| sample.at_ms < at_ms);
        samples.kept.range(first..).cloned().collect()
    }

    /// The newest sample.
    pub(crate) fn newest(&self) -> Option<Arc<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).kept.back().cloned()
    }

    /// The id of the oldest sample; `None`: there is none yet.
    pub(crate) fn since(&self) -> Option<u64> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).kept.front().map(|oldest| oldest.at_ms)
    }

    /// Where a reader begins who saw the sample of this id last, here or at another gateway: right after it, or with the whole
    /// hour where that leaves a gap.
    pub(crate) fn start(&self, last: Option<u64>) -> Start {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = samples.dropped;
        let (Some(last), Some(oldest), Some(newest)) = (last, samples.kept.front(), samples.kept.back()) else {
            return Start { after: whole, resumed: last.map(|_| false) };
        };
        let oldest = if whole > 0 { whole } else { oldest.at_ms };
        let resumed = (oldest..=newest.at_ms + CLOCKS).contains(&last);
        Start { after: if resumed { last } else { whole }, resumed: Some(resumed) }
    }

    /// Changes with each sample.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(samples: u64) -> Hour {
        let hour = Hour::default();
        (1..=samples).for_each(|second| hour.push(Sample::empty(second * 1_000)));
        hour
    }

    fn all_after(hour: &Hour, mut id: u64) -> Vec<u64> {
        let mut ids = Vec::new();
        while let Next::Sample(sample) = hour.after(id) {
            id = sample.at_ms;
            ids.push(id / 1_000);
        }
        ids
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let hour = hour(SAMPLES as u64 + 2);
        assert_eq!(all_after(&hour, hour.start(None).after), (3..=SAMPLES as u64 + 2).collect::<Vec<_>>());
        assert!(matches!(hour.after(1_000), Next::Gone), "the second one is gone");
        assert!(matches!(hour.after(2_000), Next::Sample(_)) && matches!(hour.after(9_999_000), Next::Later));
    }

    #[test]
    fn a_reader_goes_on_where_it_was_or_learns_of_the_gap() {
        let young = hour(10);
        let start = |hour: &Hour, last| (hour.start(Some(last)).after, hour.start(Some(last)).resumed);
        assert_eq!(start(&young, 4_000), (4_000, Some(true)));
        assert_eq!(start(&young, 4_300), (4_300, Some(true)), "of another gateway");
        assert_eq!(start(&young, 12_000), (12_000, Some(true)), "of another gateway whose clock is ahead");
        assert_eq!(start(&young, 999), (0, Some(false)), "before this gateway was started");
        assert_eq!(start(&young, 99_000), (0, Some(false)), "the clock was set back");
        let old = hour(SAMPLES as u64 + 2);
        assert_eq!(start(&old, 2_000), (2_000, Some(true)), "the last one that is gone");
        assert_eq!(start(&old, 1_000), (2_000, Some(false)));
        assert_eq!(young.start(None), Start { after: 0, resumed: None });
        assert_eq!(Hour::default().start(Some(5)), Start { after: 0, resumed: Some(false) });
    }

    #[test]
    fn ids_grow_also_when_the_clock_is_set_back() {
        let hour = hour(3);
        hour.push(Sample::empty(5));
        hour.push(Sample::empty(6));
        assert_eq!(hour.newest().map(|sample| sample.at_ms), Some(3_002));
    }
}
