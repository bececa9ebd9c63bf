//! Nacos's forms, payloads and datagrams, and TryFrom between them and the model.
