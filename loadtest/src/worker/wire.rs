//! Messages on a stream: JSON, with its length before it (4 bytes, big-endian).
//!
//! Out of scope: trust. A length is bounded before memory is set aside for it, and bytes that make no sense are an
//! error.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest message of a trusted peer, in bytes.
pub(super) const LONGEST: u32 = 64 << 20;
/// The longest one before the peer has shown that it knows the secret.
pub(super) const LONGEST_HELLO: u32 = 4 << 10;
/// Memory set aside before the first byte of a message is there.
const FIRST: usize = 64 << 10;

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The connection ended or broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// A message that is longer than one may be.
    #[error("a message of {0} bytes is longer than one may be")]
    TooLong(u64),
    /// Bytes that are no message.
    #[error("not a message: {0}")]
    Nonsense(#[from] serde_json::Error),
}

/// Writes a message. Flushing is up to the caller.
pub(super) async fn say(to: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> Result<(), Broken> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).ok().filter(|&length| length <= LONGEST);
    to.write_u32(length.ok_or(Broken::TooLong(text.len() as u64))?).await?;
    Ok(to.write_all(&text).await?)
}

/// Reads a message of at most `longest` bytes.
pub(super) async fn hear<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin), longest: u32) -> Result<T, Broken> {
    let length = from.read_u32().await?;
    if length > longest {
        return Err(Broken::TooLong(length.into()));
    }
    let mut text = Vec::with_capacity(FIRST.min(length as usize));
    if from.take(length.into()).read_to_end(&mut text).await? < length as usize {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::super::{FromLeader, FromWorker};
    use super::*;

    async fn heard(bytes: &[u8]) -> Result<FromLeader, Broken> {
        hear(&mut &*bytes, LONGEST_HELLO).await
    }

    fn framed(text: &[u8]) -> Vec<u8> {
        [&u32::try_from(text.len()).unwrap().to_be_bytes(), text].concat()
    }

    #[tokio::test]
    async fn what_is_said_is_heard() {
        let mut bytes = Vec::new();
        say(&mut bytes, &FromWorker::Refused("é".into())).await.unwrap();
        say(&mut bytes, &FromWorker::Pong(-3)).await.unwrap();
        let mut rest = &*bytes;
        assert!(matches!(hear(&mut rest, LONGEST).await, Ok(FromWorker::Refused(why)) if why == "é"));
        assert!(matches!(hear(&mut rest, LONGEST).await, Ok(FromWorker::Pong(-3))));
        assert!(matches!(hear::<FromWorker>(&mut rest, LONGEST).await, Err(Broken::Io(_))));
    }

    #[tokio::test]
    async fn bad_bytes_are_an_error_and_nothing_worse() {
        assert!(matches!(heard(&u32::MAX.to_be_bytes()).await, Err(Broken::TooLong(_))));
        assert!(matches!(heard(b"\0\0\0\x09\"ping\"").await, Err(Broken::Io(_))), "cut off");
        assert!(matches!(heard(b"\0\0").await, Err(Broken::Io(_))));
        for nonsense in
            [&b""[..], b"{", b"\"pong\"", b"\xff\xfe", b"{\"send\":{}}", b"{\"open\":{\"proof\":7}}", b"null"]
        {
            assert!(matches!(heard(&framed(nonsense)).await, Err(Broken::Nonsense(_))), "{nonsense:?}");
        }
        let deep = [b"[".repeat(2_000), b"]".repeat(2_000)].concat();
        assert!(matches!(heard(&framed(&deep)).await, Err(Broken::Nonsense(_))));
        for seed in 0..2_000_u64 {
            let bytes: Vec<u8> = (0..seed % 40).map(|n| (seed.wrapping_mul(n + 0x9e37) >> 5) as u8).collect();
            let _ = heard(&bytes).await;
        }
    }
}
