//! What a client program says to the runner: one JSON line a step on standard output; its questions go the same way, the answers
//! come on standard input.

use std::fmt::Display;
use std::future::Future;
use std::io::BufRead;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

static ANSWERS: OnceLock<Mutex<mpsc::UnboundedReceiver<String>>> = OnceLock::new();

/// What a step came to: how long it took, where it measured that itself, and what is worth knowing.
pub struct Outcome {
    ms: Option<f64>,
    detail: String,
}

pub type Done = Result<Outcome, String>;

pub fn well(detail: impl Into<String>) -> Done {
    Ok(Outcome {
        ms: None,
        detail: detail.into(),
    })
}

pub fn took(ms: f64, detail: impl Into<String>) -> Done {
    Ok(Outcome {
        ms: Some(ms),
        detail: detail.into(),
    })
}

pub fn listen() {
    let (sender, answers) = mpsc::unbounded_channel();
    ANSWERS.get_or_init(|| Mutex::new(answers));
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = sender.send(line.trim().to_owned());
        }
        // The runner is gone: a client program must not outlive it.
        std::process::exit(3);
    });
}

pub fn say(value: &Value) {
    println!("{value}");
}

pub async fn ask(what: &str) -> String {
    say(&json!({ "ask": what }));
    let answers = ANSWERS.get().expect("the program listens");
    answers.lock().await.recv().await.expect("the listening thread lives")
}

pub async fn run(step: &str, body: impl Future<Output = Done>) -> bool {
    let start = Instant::now();
    let (result, ms, detail) = match body.await {
        Ok(outcome) => ("ok", outcome.ms.unwrap_or_else(|| since(start)), outcome.detail),
        Err(error) => ("fail", since(start), error),
    };
    say(&json!({
        "client": "rust", "version": setting("COMPAT_VERSION"), "step": step, "result": result, "ms": ms, "detail": detail,
    }));
    result == "ok"
}

pub fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

pub fn check(condition: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(message()) }
}

pub fn text(error: impl Display) -> String {
    error.to_string()
}

/// Asks again until `probe` finds something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    within_s: u64,
    mut probe: impl FnMut() -> F,
) -> Result<T, String> {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return Ok(found);
        }
        check(start.elapsed() < Duration::from_secs(within_s), || {
            format!("{what}: not within {within_s} s")
        })?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn times(mut taken: Vec<f64>) -> Done {
    taken.sort_by(f64::total_cmp);
    let p50 = taken[(taken.len() - 1) / 2];
    let max = taken[taken.len() - 1];
    took(p50, format!("n={} p50={p50:.1} max={max:.1}", taken.len()))
}
