//! One probe of one address.

use super::Found;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use muster_runtime::Clock;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::net::TcpStream;

/// Where to look, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Probe {
    /// Bare, without the brackets of IPv6.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// None: connecting is all.
    pub(crate) http: Option<HttpProbe>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HttpProbe {
    pub(crate) path: String,
    /// `name:value` parted by `|`.
    pub(crate) headers: String,
    pub(crate) expected_code: u16,
}

impl Probe {
    /// Carries it out, at most for `deadline`.
    pub(crate) async fn run(&self, clock: &Clock, deadline: Duration) -> Found {
        let started = clock.now();
        match tokio::time::timeout(deadline, self.look()).await {
            Ok(Ok(())) => Found::Passed {
                round_trip: clock.now().saturating_duration_since(started),
            },
            Ok(Err(found)) => found,
            Err(_elapsed) => Found::Slow,
        }
    }

    async fn look(&self) -> Result<(), Found> {
        let connected = TcpStream::connect((self.host.as_str(), self.port)).await;
        match (&self.http, connected) {
            (None, Ok(_stream)) => Ok(()),
            (Some(http), Ok(stream)) => http.get(&self.host, self.port, stream).await,
            (_, Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Err(Found::Refused),
            (_, Err(error)) if error.kind() == ErrorKind::TimedOut => Err(Found::Slow),
            // Nacos: a broken connect is a soft failure of a TCP probe and a hard one of an HTTP probe.
            (None, Err(_)) => Err(Found::Broken),
            (Some(_), Err(_)) => Err(Found::Refused),
        }
    }
}

impl HttpProbe {
    async fn get(&self, host: &str, port: u16, stream: TcpStream) -> Result<(), Found> {
        let request = self.request(host, port)?;
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
            .await
            .map_err(|_| Found::Refused)?;
        let answer = async {
            let answer = sender.send_request(request).await;
            answer.map(|response| response.status()).map_err(|_| Found::Refused)
        };
        tokio::pin!(answer, connection);
        let status = tokio::select! {
            status = &mut answer => status?,
            // The connection ends by itself when the peer hangs up; the answer may have come before that.
            _ = &mut connection => answer.await?,
        };
        self.judge(status)
    }

    fn judge(&self, status: StatusCode) -> Result<(), Found> {
        match status {
            StatusCode::OK => Ok(()),
            code if code.as_u16() == self.expected_code => Ok(()),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::FOUND => Err(Found::Slow),
            _ => Err(Found::Refused),
        }
    }

    /// A path or headers that are none make the target fail, so that the mistake shows.
    fn request(&self, host: &str, port: u16) -> Result<Request<Empty<Bytes>>, Found> {
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        let bracketed = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let mut request = Request::get(format!("{slash}{}", self.path))
            .header(HOST, format!("{bracketed}:{port}"))
            // The name under which Nacos's checker shows in logs and is let through by gateways.
            .header(USER_AGENT, "VIPServer")
            .body(Empty::new())
            .map_err(|_| Found::Refused)?;
        for header in self.headers.split('|').filter(|header| !header.trim().is_empty()) {
            let (name, value) = header.split_once(':').ok_or(Found::Refused)?;
            let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| Found::Refused)?;
            let value = HeaderValue::from_str(value.trim()).map_err(|_| Found::Refused)?;
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const DEADLINE: Duration = Duration::from_secs(5);

    fn probe(port: u16, http: Option<(&str, &str)>) -> Probe {
        Probe {
            host: "127.0.0.1".to_owned(),
            port,
            http: http.map(|(path, headers)| HttpProbe {
                path: path.to_owned(),
                headers: headers.to_owned(),
                expected_code: 200,
            }),
        }
    }

    /// Probes a server that answers one connection with `answer`; also says what it was asked.
    async fn against(answer: &str, path: &str, headers: &str) -> (Found, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let probe = probe(port, Some((path, headers)));
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4_096];
            let read = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..read]).into_owned()
        };
        let clock = Clock::system();
        tokio::join!(probe.run(&clock, DEADLINE), serve)
    }

    #[tokio::test]
    async fn a_listening_port_passes_and_a_closed_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let clock = Clock::system();
        assert!(matches!(
            probe(port, None).run(&clock, DEADLINE).await,
            Found::Passed { .. }
        ));
        drop(listener);
        assert_eq!(probe(port, None).run(&clock, DEADLINE).await, Found::Refused);
        assert_eq!(probe(port, Some(("/", ""))).run(&clock, DEADLINE).await, Found::Refused);
    }

    #[tokio::test]
    async fn http_asks_for_the_path_with_the_headers_and_takes_200() {
        let (found, asked) = against("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "up?x=1", "a:b|C : d").await;
        assert!(matches!(found, Found::Passed { .. }), "{found:?}");
        let asked = asked.to_lowercase();
        assert!(asked.starts_with("get /up?x=1 http/1.1\r\n"), "{asked}");
        for line in ["user-agent: vipserver\r\n", "a: b\r\n", "c: d\r\n", "host: 127.0.0.1:"] {
            assert!(asked.contains(line), "{asked}");
        }
    }

    #[tokio::test]
    async fn http_tells_soft_from_hard_failures() {
        for (line, expected) in [
            ("503 Service Unavailable", Found::Slow),
            ("302 Found", Found::Slow),
            ("404 Not Found", Found::Refused),
            ("204 No Content", Found::Refused),
        ] {
            let (found, _) = against(&format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"), "/", "").await;
            assert_eq!(found, expected, "{line}");
        }
        let (found, _) = against("not http at all\r\n\r\n", "/", "").await;
        assert_eq!(found, Found::Refused);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_slow() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let clock = Clock::system();
        assert_eq!(probe(port, Some(("/", ""))).run(&clock, DEADLINE).await, Found::Slow);
    }

    #[tokio::test]
    async fn headers_that_are_none_fail_the_target() {
        let (_listener, port) = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            (listener, port)
        };
        let clock = Clock::system();
        assert_eq!(
            probe(port, Some(("/", "no colon"))).run(&clock, DEADLINE).await,
            Found::Refused
        );
        assert_eq!(
            probe(port, Some(("/a b", ""))).run(&clock, DEADLINE).await,
            Found::Refused
        );
    }
}
