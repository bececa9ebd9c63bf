//! How many services show clients what is not.

use super::*;
use crate::testing::{instance, service};
use muster_model::Kind;

#[tokio::test(start_paused = true)]
async fn services_that_show_the_unhealthy_as_healthy_are_counted_while_they_do() {
    let bed = Testbed::start();
    let (context, s) = (bed.context(), service("s"));
    let masked = || {
        bed.changes.0.fold_all();
        bed.changes.0.masked_services()
    };
    for address in ["10.0.0.1:80", "10.0.0.2:80"] {
        bed.naming
            .register(&context, &s, instance(address, Kind::Ephemeral))
            .await
            .unwrap();
    }
    assert_eq!(masked(), 0, "all are healthy");
    bed.ephemeral.set_health(&s, &key("10.0.0.1:80"), false);
    assert_eq!(masked(), 0, "half of them are, and the threshold is zero");
    bed.ephemeral.set_health(&s, &key("10.0.0.2:80"), false);
    assert_eq!(masked(), 1);
    bed.ephemeral.set_health(&s, &key("10.0.0.2:80"), true);
    assert_eq!(masked(), 0);
    bed.naming
        .update_service(&context, &s, 0.5, muster_model::Metadata::default())
        .await
        .unwrap();
    assert_eq!(masked(), 1, "half of them are not above a half");
    for address in ["10.0.0.1:80", "10.0.0.2:80"] {
        bed.naming
            .deregister(&context, &s, &key(address), Kind::Ephemeral)
            .await
            .unwrap();
    }
    assert_eq!(masked(), 0);
}
