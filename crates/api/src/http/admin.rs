#![doc = include_str!("../../../../docs/admin-api.md")]
