//! Waiting: [`Poller`] sleeps until a port has frames, [`Waker`] ends the sleep from another thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// How many descriptors one [`Poller::wait`] reports at most; the others come with the next.
const EVENTS: usize = 64;

/// A level-triggered epoll instance: whoever still has something to read is reported again.
pub struct Poller {
    epoll: Epoll,
    ready: [EpollEvent; EVENTS],
}

impl Poller {
    /// A poller that watches nothing yet.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: out of descriptors.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self {
            epoll,
            ready: [EpollEvent::empty(); EVENTS],
        })
    }

    /// Reports `token` while `fd` is readable (or broken). Remove the descriptor before closing it if it was
    /// duplicated elsewhere; otherwise closing it ends the watch.
    ///
    /// # Errors
    /// `EEXIST`: watched already. `EPERM`: a descriptor that cannot be polled.
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self
            .epoll
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// Changes whether `fd` is also reported while it has room to write: for as long as a full device holds
    /// frames back.
    ///
    /// # Errors
    /// `ENOENT`: not watched.
    pub fn watch_room(&self, fd: impl AsFd, token: u64, wanted: bool) -> io::Result<()> {
        let room = if wanted {
            EpollFlags::EPOLLOUT
        } else {
            EpollFlags::empty()
        };
        Ok(self
            .epoll
            .modify(fd, &mut EpollEvent::new(EpollFlags::EPOLLIN | room, token))?)
    }

    /// Stops watching `fd`.
    ///
    /// # Errors
    /// `ENOENT`: not watched.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Sleeps until something is ready, at most `timeout` (rounded up to milliseconds; `None` = for ever), and
    /// replaces the contents of `tokens` with the tokens of what is ready. A signal ends the sleep with no tokens.
    /// Allocates only when `tokens` is too small.
    ///
    /// # Errors
    /// None that a caller can cause; whatever the kernel says is passed on.
    pub fn wait(&mut self, tokens: &mut Vec<u64>, timeout: Option<Duration>) -> io::Result<()> {
        tokens.clear();
        match self.epoll.wait(&mut self.ready, milliseconds(timeout)) {
            Ok(count) => tokens.extend(self.ready[..count].iter().map(EpollEvent::data)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}

fn milliseconds(timeout: Option<Duration>) -> EpollTimeout {
    let Some(timeout) = timeout else {
        return EpollTimeout::NONE;
    };
    EpollTimeout::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(EpollTimeout::MAX)
}

/// Wakes a thread that waits on a [`Poller`]. Clones wake the same thread.
#[derive(Clone, Debug)]
pub struct Waker {
    event: Arc<EventFd>,
}

impl Waker {
    /// A waker; give its [`fd`](Waker::fd) to the poller of the thread to be woken.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: out of descriptors.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self {
            event: Arc::new(event),
        })
    }

    /// Makes the descriptor readable. Waking twice before the other side has drained is the same as once.
    pub fn wake(&self) {
        // The only failure is EAGAIN at 2^64 - 2 pending wakes: then it is awake enough.
        let _ = self.event.write(1);
    }

    /// Takes back all wakes; true when there was one.
    pub fn drain(&self) -> bool {
        self.event.read().is_ok()
    }

    /// The descriptor to poll.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_from_another_thread_ends_the_sleep_and_lasts_until_drained() {
        let waker = Waker::new().unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(waker.fd(), 7).unwrap();
        let mut tokens = Vec::new();

        let other = waker.clone();
        let thread = std::thread::spawn(move || other.wake());
        poller.wait(&mut tokens, None).unwrap();
        thread.join().unwrap();
        assert_eq!(tokens, [7]);

        poller.wait(&mut tokens, Some(Duration::ZERO)).unwrap();
        assert_eq!(tokens, [7], "level triggered: still readable");
        assert!(waker.drain());
        assert!(!waker.drain());
        poller.wait(&mut tokens, Some(Duration::ZERO)).unwrap();
        assert_eq!(tokens, []);
    }

    #[test]
    fn a_removed_descriptor_is_not_reported() {
        let waker = Waker::new().unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(waker.fd(), 1).unwrap();
        poller.remove(waker.fd()).unwrap();
        waker.wake();
        let mut tokens = vec![9];
        poller.wait(&mut tokens, Some(Duration::ZERO)).unwrap();
        assert_eq!(tokens, []);
    }

    #[test]
    fn a_short_timeout_is_rounded_up_not_down_to_a_spin() {
        assert_eq!(
            milliseconds(Some(Duration::from_micros(1))),
            EpollTimeout::from(1u8)
        );
        assert_eq!(milliseconds(Some(Duration::ZERO)), EpollTimeout::ZERO);
        assert_eq!(milliseconds(None), EpollTimeout::NONE);
    }
}
