//! Members in other processes, by gRPC.
