//! A tunnel for another protocol between client and upstream (`WebSocket`s), once HTTP has agreed on it.
//!
//! Out of scope: the agreement ([`crate::upstream`]), and when the tunnel has to end.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::sync::Notify;

/// Carries another protocol between client and upstream, until it ends.
pub struct Bridge {
    carried: Pin<Box<dyn Future<Output = ()>>>,
    end: Rc<Notify>,
}

impl Bridge {
    /// The [`Notify`] tells `carry` to end: both peers must learn of it.
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
