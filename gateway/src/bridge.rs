//! Another protocol between both ends (`WebSocket`s), once HTTP has agreed on it.
//!
//! Out of scope: what is agreed on ([`crate::upstream`]), and when it has to end.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::sync::Notify;

/// Carries another protocol between both ends, until it ends.
pub struct Bridge {
    carried: Pin<Box<dyn Future<Output = ()>>>,
    end: Rc<Notify>,
}

impl Bridge {
    /// What carries the bytes is told by the [`Notify`] that it is to end: both ends are to hear of it.
    pub fn new<F: Future<Output = ()> + 'static>(carry: impl FnOnce(Rc<Notify>) -> F) -> Self {
        let end = Rc::new(Notify::new());
        Self { carried: Box::pin(carry(end.clone())), end }
    }

    /// Ends it once this is `over`.
    #[must_use]
    pub fn until(self, over: impl Future<Output = ()> + 'static) -> Self {
        let Self { mut carried, end } = self;
        let told = end.clone();
        let carried = async move {
            tokio::select! {
                () = &mut carried => return,
                () = over => told.notify_one(),
            }
            carried.await;
        };
        Self { carried: Box::pin(carried), end }
    }
}

impl Future for Bridge {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.carried.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bridge")
    }
}
