//! Gaps on a real file.

use super::super::tests::{enrol, node, open};
use super::*;

const SECOND: i64 = 1_000_000_000;

fn at(seconds: i64) -> WallTime {
    WallTime(seconds * SECOND)
}

fn stretch(from: i64, to: Option<i64>) -> Gap {
    let cause = GapCause::LinkDown;
    Gap { collector: None, from: at(from), to: to.map(at), cause, samples: 3, filled: None }
}

fn part(node: NodeId, part: u64, gaps: &[Gap]) -> GapPart {
    GapPart { node, part, gaps: gaps.to_vec() }
}

const ALL: GapFilter = GapFilter { node: None, from: WallTime(0), to: WallTime(i64::MAX) };

async fn two_nodes(registry: &Registry) -> [NodeId; 2] {
    enrol(registry, node("n1", false), [1; 32]).await.unwrap();
    enrol(registry, node("n2", false), [2; 32]).await.unwrap();
    let nodes = registry.list_nodes().await.unwrap();
    [nodes[0].member.id, nodes[1].member.id]
}

#[tokio::test]
async fn a_part_is_replaced_as_a_whole_and_goes_with_its_node() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    let [n1, n2] = two_nodes(&registry).await;
    let filled = Gap { filled: Some(at(60)), collector: Some("cpu".into()), ..stretch(10, Some(20)) };
    let parts = [
        part(n1, 1, &[stretch(10, Some(30)), stretch(40, None)]),
        part(n2, 1, &[stretch(50, Some(55))]),
        part(NodeId(99), 1, &[stretch(1, None)]),
    ];
    registry.write_gaps(&parts, &[], at(100)).await.unwrap();
    let (gaps, left_out) = registry.list_gaps(ALL, 2).await.unwrap();
    assert_eq!(gaps, [(n2, stretch(50, Some(55))), (n1, stretch(40, None))]);
    assert_eq!(left_out, 1);
    registry.write_gaps(&[part(n1, 1, std::slice::from_ref(&filled))], &[], at(101)).await.unwrap();
    let of = async |filter| registry.list_gaps(filter, 10).await.unwrap().0;
    assert_eq!(of(GapFilter { node: Some(n1), ..ALL }).await, [(n1, filled)]);
    assert_eq!(of(GapFilter { from: at(20), to: at(50), ..ALL }).await, [], "both ends are left out");
    registry.forget_node("admin", "n1", at(102)).await.unwrap();
    assert_eq!(of(ALL).await, [(n2, stretch(50, Some(55)))]);
}

#[tokio::test]
async fn the_next_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    assert_eq!(registry.load_gaps(at(0)).await.unwrap(), GapMemory { next: 1, ..GapMemory::default() });
    let [n1, n2] = two_nodes(&registry).await;
    let epoch = Epoch { order: 7, nonce: u64::MAX };
    let last = LastHeard { at: at(90), due_ms: 1000, epoch, boot_id: [0xab; 16] };
    let filled = Gap { filled: Some(at(60)), ..stretch(11, Some(20)) };
    let parts = [
        part(n1, 5, &[filled, stretch(12, Some(13)), stretch(40, None)]),
        part(n2, 5, &[stretch(1, Some(2))]),
    ];
    registry.write_gaps(&parts, &[(n1, last), (NodeId(99), last)], at(100)).await.unwrap();
    registry.write_gaps(&[], &[(n1, LastHeard { at: at(91), ..last })], at(101)).await.unwrap();
    let memory = registry.load_gaps(at(10)).await.unwrap();
    assert_eq!((memory.ran, memory.next), (Some(at(101)), 5));
    assert_eq!(memory.heard, [(n1, LastHeard { at: at(91), ..last })].into());
    assert_eq!(memory.open, [(n1, vec![(2, stretch(12, Some(13))), (3, stretch(40, None))])].into());
}

#[tokio::test]
async fn what_is_old_or_too_much_goes() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    let [n1, n2] = two_nodes(&registry).await;
    let many: Vec<Gap> = (0..10).map(|n| stretch(10 * n, Some(10 * n + 5))).collect();
    let parts = [part(n1, 1, &many), part(n2, 1, &[stretch(0, None)])];
    registry.write_gaps(&parts, &[], at(100)).await.unwrap();
    let kept = GapKept { since: at(25), per_node: 3 };
    assert_eq!(registry.trim_gaps(kept).await.unwrap(), 7);
    let from: Vec<_> = registry.list_gaps(ALL, 10).await.unwrap().0.iter().map(|(_, gap)| gap.from).collect();
    assert_eq!(from, [at(90), at(80), at(70), at(0)]);
}
