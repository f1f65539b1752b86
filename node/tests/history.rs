//! Grants are worth what the owner's log says of them.

use tidegate_node::NodeError;
use tidegate_protocol::{Code, grant};

use crate::common::{World, count};

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_the_log_does_not_name_is_refused() {
    let world = World::new().await;
    let home = world.home("owner");
    let dataset = tidegate_node::owner::publish::find(&home, "towns").unwrap();
    let terms = world.terms(&dataset, world.init("buyer"), 1_000_000);
    let unlogged = grant::issue(&home.identity().unwrap(), &terms).unwrap().token;
    let node = world.serve().await;
    let refused = world.ask(node.address(), &count(), &unlogged).await.unwrap_err();
    let NodeError::Refused(refusal) = &refused else { panic!("{refused}") };
    assert_eq!(refusal.code, Code::NotGranted);
    assert!(refusal.message.contains("has no entry that issues this grant"), "{refusal}");
    // The same terms are good once they are logged, beside the running node.
    let logged = world.grant(&dataset, world.init("buyer"), 1_000_000);
    world.ask(node.address(), &count(), &logged).await.unwrap();
    node.shutdown().await.unwrap();
}
