//! Registering and deregistering.

use super::Outcome;
use super::failure::{Failure, require_naming};
use crate::grpc::call::Call;
use muster_model::Kind;
use muster_naming::Error;
use muster_wire::grpc::{
    BatchInstanceRequest, InstanceAct, InstanceRequest, batch_instance_response, instance_response,
};

/// `InstanceRequest`: one record per connection and service, which a second registration replaces and a deregistration
/// ends, whatever address it names.
pub(super) fn ephemeral(call: &Call<'_>) -> Outcome {
    let request = InstanceRequest::decode(call.body, Kind::Ephemeral)?;
    let done = instance_response(request.act.type_name());
    let (context, id) = (&call.context, call.connection.id);
    match request.act {
        InstanceAct::Register(instance) => {
            require_naming(call)?;
            call.naming.publish(context, id, &request.service, vec![*instance])?;
        }
        // Of an unknown service, or where nothing is published, it is well, too.
        InstanceAct::Deregister(named) => call.naming.withdraw(context, id, &request.service, &named),
    }
    Ok(done)
}

/// `BatchInstanceRequest`: the list replaces the record. Clients deregister by the remaining list, which may be empty.
pub(super) fn batch(call: &Call<'_>) -> Outcome {
    let request = BatchInstanceRequest::decode(call.body)?;
    require_naming(call)?;
    call.naming
        .publish(&call.context, call.connection.id, &request.service, request.instances)?;
    Ok(batch_instance_response())
}

/// `PersistentInstanceRequest`: through Raft, one record per address and service; nothing of it is the connection's.
pub(super) async fn persistent(call: &Call<'_>) -> Outcome {
    let request = InstanceRequest::decode(call.body, Kind::Persistent)?;
    let done = instance_response(request.act.type_name());
    let (context, service) = (&call.context, &request.service);
    match request.act {
        InstanceAct::Register(instance) => {
            call.naming.register(context, service, *instance).await?;
        }
        InstanceAct::Deregister(key) => match call.naming.deregister(context, service, &key, Kind::Persistent).await {
            Ok(_) | Err(Error::InstanceNotFound { .. } | Error::ServiceNotFound(_)) => {}
            Err(error) => return Err(Failure::from(error)),
        },
    }
    Ok(done)
}
