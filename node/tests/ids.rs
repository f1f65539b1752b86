//! Ids may be cut to what tells them apart, wherever one is written.

use tidegate_node::{
    discovery::history::{difference, versions},
    owner::{access::grants, publish::find, retire::retire},
};

use crate::common::{World, query, said};

#[tokio::test(flavor = "multi_thread")]
async fn the_beginning_of_an_id_stands_for_it_wherever_it_is_written() {
    let world = World::new().await;
    let (home, node) = (world.home("owner"), world.serve().await);
    let buyer = world.buyer(node.address()).await.showing(&world.grant);
    let id = buyer.offer(node.address(), "towns").await.unwrap().manifest.id().to_string();
    buyer.close().await;
    let (cut, short) = (&id[..8], &id[..5]);
    let asked = |id: &str| query(id, "SELECT COUNT(*) AS n FROM dataset", 0.1);
    world.ask(node.address(), &asked(cut), &world.grant).await.unwrap();
    let refused = world.ask(node.address(), &asked(short), &world.grant).await.unwrap_err().to_string();
    assert!(refused.contains("no dataset"), "{refused}");
    let found = find(&home, cut).unwrap();
    assert_eq!(found.manifest.id().to_string(), id);
    let history = versions(vec![found.manifest.clone()], cut).unwrap();
    assert_eq!(history.iter().map(|version| version.id().to_string()).collect::<Vec<_>>(), [id.as_str()]);
    let other = world.grant(&found, world.init("buyer"), 1_000_000);
    // A grant's own id may be cut too, and is revoked beside the running node.
    let whole = tidegate_protocol::grant::ids(&other).unwrap().remove(0);
    let revoked = tokio::task::block_in_place(|| grants::revoke(&home, &whole[..8])).unwrap();
    assert_eq!(revoked, whole);
    node.shutdown().await.unwrap();
    std::fs::write(world.path("next.csv"), std::fs::read_to_string(world.path("data.csv")).unwrap() + "61,3,north\n").unwrap();
    let next = world.publish("next.csv", "towns", &world.policy(), Some(&found)).await;
    let next_id = next.manifest.id().to_string();
    let before = find(&home, cut).unwrap();
    let changed = format!("{:?}", difference(before.manifest.body(), find(&home, &next_id[..8]).unwrap().manifest.body()));
    assert_ne!(changed, format!("{:?}", difference(before.manifest.body(), before.manifest.body())), "the files differ");
    assert!(said(&home, &["catalog", "history", cut]).contains(&id));
    assert!(said(&home, &["catalog", "diff", cut, &next_id[..8]]).contains("file"));
    assert!(retire(&home, short, false, false).unwrap_err().to_string().contains("no dataset"));
    let retired = retire(&home, &next_id[..8], false, false).unwrap();
    assert_eq!((retired.version, retired.newest), (Some(next.manifest.id()), true));
}
