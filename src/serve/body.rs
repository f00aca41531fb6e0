//! The body of a response: some bytes, with a file between them. A file is read piece by piece as the reader accepts
//! it, so that forty readers of a large file, or one that does not read, cost no memory.

use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Bytes, Frame, SizeHint};

/// How much of a file is read at once.
const PIECE: usize = 64 << 10;

/// Bytes to send, and their number.
#[derive(Debug, Default)]
pub struct Body {
    before: Bytes,
    file: Option<(File, u64)>,
    after: Bytes,
    /// Whether a piece was just given.
    gave: bool,
}

impl Body {
    /// `before`, then this many bytes of a file from its current position, then `after`.
    pub fn around(before: impl Into<Bytes>, file: File, length: u64, after: impl Into<Bytes>) -> Self {
        Self {
            before: before.into(),
            file: (length > 0).then_some((file, length)),
            after: after.into(),
            gave: false,
        }
    }

    /// How many bytes there are still to send.
    fn left(&self) -> u64 {
        let file = self.file.as_ref().map_or(0, |(_, left)| *left);
        self.before.len() as u64 + file + self.after.len() as u64
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            before: bytes.into(),
            ..Self::default()
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        text.as_bytes().to_vec().into()
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        // After each piece the other responses continue: all share one thread, and the system accepts megabytes without
        // a pause.
        self.gave = !self.gave;
        if !self.gave && self.file.is_some() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.before.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.before)))));
        }
        if let Some((file, left)) = &mut self.file {
            let piece = next(file, *left);
            *left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
            if *left == 0 {
                self.file = None;
            }
            return Poll::Ready(Some(piece.map(Frame::data)));
        }
        let after = std::mem::take(&mut self.after);
        Poll::Ready((!after.is_empty()).then(|| Ok(Frame::data(after))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

/// The next piece of a file. A length was promised: a file that has become shorter breaks the answer off.
fn next(file: &mut File, left: u64) -> io::Result<Bytes> {
    let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
    let mut piece = vec![0; most];
    let count = file.read(&mut piece)?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    piece.truncate(count);
    Ok(piece.into())
}

#[cfg(test)]
mod tests {
    use hyper::body::Body as _;

    use super::*;

    impl Body {
        /// All of it.
        pub fn read_whole(self) -> Vec<u8> {
            pieces(self)
                .into_iter()
                .map(Result::unwrap)
                .collect::<Vec<_>>()
                .concat()
        }
    }

    /// All pieces of a body.
    fn pieces(mut body: Body) -> Vec<io::Result<Bytes>> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut pieces = Vec::new();
        loop {
            let frame = match Pin::new(&mut body).poll_frame(&mut context) {
                Poll::Ready(Some(frame)) => frame,
                Poll::Ready(None) => break,
                Poll::Pending => continue,
            };
            let failed = frame.is_err();
            pieces.push(frame.map(|frame| frame.into_data().unwrap()));
            if failed {
                break;
            }
        }
        pieces
    }

    #[test]
    fn a_file_comes_in_pieces_between_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let bytes: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let body = Body::around("<", File::open(&path).unwrap(), 200_000, ">");
        assert_eq!(body.size_hint().exact(), Some(200_002));
        let pieces = pieces(body);
        assert!(pieces.iter().all(|piece| piece.as_ref().unwrap().len() <= PIECE));
        let whole = pieces.into_iter().map(Result::unwrap).collect::<Vec<_>>().concat();
        assert_eq!(whole, [b"<", &bytes[..], b">"].concat());
        assert!(Body::from("").is_end_stream());
    }

    #[test]
    fn a_file_that_has_become_shorter_breaks_the_answer_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        let pieces = pieces(Body::around("", File::open(&path).unwrap(), 5, ""));
        assert!(pieces.len() == 2 && pieces[0].is_ok() && pieces[1].is_err());
    }
}
