//! The dialect over a real loopback socket.
