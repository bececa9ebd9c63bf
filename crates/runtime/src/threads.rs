//! Threads apart from those of the runtime that a node is started in.

use std::io;
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads of their own for tasks that must not wait behind others. The tasks end with it, wherever they are.
#[derive(Debug)]
pub struct Threads(Option<Runtime>);

impl Threads {
    /// Starts `count` threads with this name.
    ///
    /// # Errors
    /// The system gives no thread, or no file to wait for sockets with.
    pub fn start(name: &str, count: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name(name)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// For [`Tasks::on`](crate::Tasks::on).
    pub fn runtime(&self) -> Handle {
        let runtime = self.0.as_ref().expect("there until it is dropped");
        runtime.handle().clone()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Dropped in place it would wait for its threads, which a task of another runtime must not.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
