//! The registry on a real file: who wins, who is refused, and what a restart still knows.

use super::token::LIFETIME_DEFAULT;
use super::*;
use crate::identity::generation::{NotRenewed, Shown};
use crate::identity::roster::Seen;
use quorate_common::model::identity::{Generation, Role};
use quorate_common::model::node::{Maintenance, MemberRole, NodeId};
use quorate_common::secret::Secret;
use quorate_common::tls::PeerCertificate;
use tempfile::TempDir;

const NOW: WallTime = WallTime(1_795_000_000_000_000_000);
const KEY: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];
const FIRST: Generation = Generation { enrolment: 1_795_000_000_000, number: 1 };
const SEEN: Seen = Seen { opened: NOW, now: NOW };

pub(super) async fn open(dir: &TempDir) -> Registry {
    Registry::open(&dir.path().join("registry.db"), "q").await.unwrap()
}

pub(super) fn node(name: &str, replace: bool) -> Subject {
    let role = MemberRole::Voter;
    let declared =
        Declaration { cluster: "default".into(), role, zone: Some("rack-a".into()), weight: 2, replace };
    Subject::Node(name.into(), declared)
}

fn certificate(role: Role, name: &str, key: [u8; 32]) -> PeerCertificate {
    let identity = format!("spiffe://q/{role}/{name}").parse().unwrap();
    let generation = (role == Role::Agent).then_some(FIRST);
    PeerCertificate { identity, spki_sha256: key, serial: vec![1], not_after: WallTime(i64::MAX), generation }
}

fn access(registry: &Registry, name: &str, key: [u8; 32]) -> String {
    access_as(registry, name, (FIRST, key))
}

fn access_as(registry: &Registry, name: &str, (generation, key): (Generation, [u8; 32])) -> String {
    let roster = registry.roster().borrow().clone();
    let own = PeerCertificate { generation: Some(generation), ..certificate(Role::Agent, name, key) };
    roster.authorize(&own, SEEN).map_or_else(|denied| denied.to_string(), |_| "allowed".to_owned())
}

pub(super) async fn enrol(
    registry: &Registry,
    subject: Subject,
    key: [u8; 32],
) -> Result<Redeemed, RedeemError> {
    let token = registry.create_token("admin", &subject, None, NOW).await?;
    registry.redeem_token((&token.id, &token.secret), &key, NOW).await
}

fn later(by: Duration) -> WallTime {
    WallTime(NOW.0 + i64::try_from(by.as_nanos()).unwrap())
}

#[tokio::test]
async fn a_token_is_redeemed_once_by_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    let token = registry.create_token("admin", &node("n1", false), None, NOW).await.unwrap();
    let redeem = |secret, key, now| {
        let (registry, id) = (&registry, &token.id);
        async move {
            let result = registry.redeem_token((id, secret), &key, now).await;
            result.map_or_else(|error| error.to_string(), |made| made.name)
        }
    };
    let wrong = Secret::new(vec![0; 32]);
    let end = later(LIFETIME_DEFAULT);
    assert_eq!(redeem(&wrong, KEY, NOW).await, "token for n1 has a wrong secret");
    assert_eq!(redeem(&token.secret, KEY, end).await, "token for n1 expired");
    assert_eq!(access(&registry, "n1", KEY), "node n1 is not enrolled");
    assert_eq!(redeem(&token.secret, KEY, NOW).await, "n1");
    assert_eq!(access(&registry, "n1", KEY), "allowed");
    assert_eq!(redeem(&token.secret, KEY, NOW).await, "n1", "repeating is idempotent");
    assert_eq!(redeem(&token.secret, OTHER, NOW).await, "token for n1 was used by another key");
    assert_eq!(redeem(&token.secret, KEY, end).await, "token for n1 expired");
    registry.revoke_node("admin", "n1", "stolen", NOW).await.unwrap();
    let gone = "what the token for n1 made is no longer there";
    assert_eq!(redeem(&token.secret, KEY, NOW).await, gone, "a repeat must not undo a revocation");
    let unknown = registry.redeem_token(("00", &token.secret), &KEY, NOW).await.unwrap_err();
    assert_eq!(unknown.to_string(), "token is not known");
}

#[tokio::test]
async fn of_many_at_once_exactly_one_key_wins() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    // A second registry on the same file is a second process, as far as the database can tell.
    let second = open(&dir).await;
    let token = Arc::new(registry.create_token("admin", &node("n1", false), None, NOW).await.unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for key in 0..16 {
        let registry = if key % 2 == 0 { registry.clone() } else { second.clone() };
        let token = token.clone();
        tasks.spawn(async move {
            let answer = registry.redeem_token((&token.id, &token.secret), &[key; 32], NOW).await;
            answer.ok().map(|_| key)
        });
    }
    let winners: Vec<u8> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    registry.reload().await.unwrap();
    assert_eq!(access(&registry, "n1", [winners[0]; 32]), "allowed");
}

#[tokio::test]
async fn a_known_name_needs_replace() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    let early = registry.create_token("admin", &node("n1", false), None, NOW).await.unwrap();
    enrol(&registry, node("n1", false), KEY).await.unwrap();
    let known = "node `n1` is enrolled already: use --replace to let a new key take its name";
    assert_eq!(enrol(&registry, node("n1", false), OTHER).await.unwrap_err().to_string(), known);
    let late = registry.redeem_token((&early.id, &early.secret), &OTHER, NOW).await.unwrap_err();
    assert_eq!(late.to_string(), known, "also for a token made before");
    assert_eq!(access(&registry, "n1", KEY), "allowed");
    let id = registry.list_nodes().await.unwrap()[0].member.id;
    let again = enrol(&registry, node("n1", true), OTHER).await.unwrap().generation.unwrap();
    assert_eq!(access(&registry, "n1", KEY), "node n1 was enrolled again with another key");
    assert_eq!(access_as(&registry, "n1", (again, OTHER)), "allowed");
    let row = &registry.list_nodes().await.unwrap()[0];
    assert_eq!((row.member.id, row.keys.generation), (id, again), "its history stays its own");
}

#[tokio::test]
async fn revoked_stays_a_member_and_forgotten_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    let mut roster = registry.roster();
    enrol(&registry, node("n1", false), KEY).await.unwrap();
    roster.mark_unchanged();
    registry.revoke_node("admin", "n1", "sold", NOW).await.unwrap();
    assert!(roster.has_changed().unwrap(), "every change is published");
    registry.revoke_node("admin", "n1", "again", later(LIFETIME_DEFAULT)).await.unwrap();
    assert_eq!(access(&registry, "n1", KEY), format!("node n1 revoked at {NOW}"));
    assert_eq!(registry.list_nodes().await.unwrap()[0].revoke_reason, "sold", "the first reason stands");
    assert_eq!(roster.borrow().members().len(), 1);
    registry.forget_node("admin", "n1", NOW).await.unwrap();
    assert_eq!(access(&registry, "n1", KEY), "node n1 is not enrolled");
    assert!(roster.borrow().members().is_empty());
    enrol(&registry, node("n1", false), KEY).await.unwrap();
    assert_eq!(roster.borrow().members()[0].id.0, 2, "a number is never given twice");
    for absent in ["n2", "'; DROP TABLE nodes; --"] {
        let error = registry.revoke_node("admin", absent, "", NOW).await.unwrap_err();
        assert_eq!(error.to_string(), format!("node `{absent}` is not known"));
    }
}

#[tokio::test]
async fn a_restart_knows_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    enrol(&registry, node("n1", false), KEY).await.unwrap();
    enrol(&registry, node("n2", false), OTHER).await.unwrap();
    enrol(&registry, Subject::User("alice".into(), Role::Viewer), [3; 32]).await.unwrap();
    let disk = Maintenance { until: Some(later(LIFETIME_DEFAULT)), reason: "new disk".into() };
    registry.set_maintenance(("alice", "new disk"), "n1", Some(&disk), NOW).await.unwrap();
    registry.revoke_node("admin", "n2", "", NOW).await.unwrap();
    assert_eq!(registry.note_boot(NodeId(1), "b1").await.unwrap(), None);
    let before = registry.roster().borrow().members().to_vec();
    registry.close().await;

    let registry = open(&dir).await;
    assert_eq!(registry.roster().borrow().members(), before);
    assert_eq!(before[0].maintenance, Some(disk));
    assert!(before[0].weight == 2 && before[0].zone.as_deref() == Some("rack-a"));
    assert_eq!(access(&registry, "n1", KEY), "allowed");
    assert_eq!(access(&registry, "n2", OTHER), format!("node n2 revoked at {NOW}"));
    let alice = certificate(Role::Viewer, "alice", [3; 32]);
    assert_eq!(registry.roster().borrow().authorize(&alice, SEEN).unwrap().principal.role, Role::Viewer);
    assert_eq!(registry.note_boot(NodeId(1), "b2").await.unwrap().as_deref(), Some("b1"));
    registry.revoke_user("admin", "alice", "left", NOW).await.unwrap();
    let denied = registry.roster().borrow().authorize(&alice, SEEN).unwrap_err().to_string();
    assert_eq!(denied, format!("viewer alice revoked at {NOW}"));
}

#[tokio::test]
async fn tokens_are_listed_with_their_fate() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    enrol(&registry, node("n1", false), KEY).await.unwrap();
    let taken = registry.create_token("admin", &node("n2", false), None, NOW).await.unwrap();
    registry.revoke_token("admin", &taken.id, NOW).await.unwrap();
    let refused = registry.redeem_token((&taken.id, &taken.secret), &KEY, NOW).await.unwrap_err();
    assert_eq!(refused.to_string(), "token for n2 was revoked");
    let long = Some(Duration::from_secs(3600));
    registry.create_token("admin", &node("n3", false), None, NOW).await.unwrap();
    registry.create_token("admin", &node("n4", false), long, NOW).await.unwrap();
    let mut states: Vec<_> = registry.list_tokens(later(LIFETIME_DEFAULT)).await.unwrap();
    states.sort_by(|a, b| a.name.cmp(&b.name));
    let states: Vec<_> = states.into_iter().map(|row| (row.name, row.state)).collect();
    let expect = [
        ("n1", TokenState::Used),
        ("n2", TokenState::Revoked),
        ("n3", TokenState::Expired),
        ("n4", TokenState::Unused),
    ];
    assert_eq!(states, expect.map(|(name, state)| (name.to_owned(), state)));
    let audit = registry.list_audit(&AuditFilter::default(), 100).await.unwrap();
    assert_eq!(audit.len(), 6, "four made, one used, one taken back: {audit:?}");
}

#[tokio::test]
async fn declarations_are_checked_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    let check = async |subject: Subject, lifetime: Option<u64>, expect: &str| {
        let lifetime = lifetime.map(Duration::from_secs);
        let error = registry.create_token("admin", &subject, lifetime, NOW).await.unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    let with = |change: fn(&mut Declaration)| {
        let Subject::Node(name, mut declared) = node("n1", false) else { unreachable!() };
        change(&mut declared);
        Subject::Node(name, declared)
    };
    check(node("../n1", false), None, "name `../n1` is not").await;
    check(with(|d| d.cluster = String::new()), None, "cluster `` is not").await;
    check(with(|d| d.zone = Some("A".into())), None, "zone `A` is not").await;
    check(with(|d| d.weight = 0), None, "weight is 0").await;
    check(Subject::User("bob".into(), Role::Agent), None, "role `agent` is not").await;
    check(Subject::User("bob".into(), Role::Aggregator), None, "role `aggregator` is not").await;
    check(node("n1", false), Some(0), "lifetime is 0ns").await;
    check(node("n1", false), Some(86_401), "lifetime is 86401s").await;
    assert!(registry.list_tokens(NOW).await.unwrap().is_empty());
}

/// Shows the `number`th key, which is [number; 32], on a connection of its own.
fn claim(number: u8, at: WallTime) -> Claim<'static> {
    let generation = Generation { number: number.into(), ..FIRST };
    let shown = Shown { generation, key: [number; 32], opened: at, now: at };
    Claim { name: "n1", shown, address: "192.0.2.1:1".parse().unwrap() }
}

#[tokio::test]
async fn keys_follow_one_another_and_a_copy_freezes_both() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    enrol(&registry, node("n1", false), KEY).await.unwrap();
    let renew = async |from: u8, to: u8, at| {
        let renewed = registry.renew(claim(from, at), &[to; 32], "renew").await;
        renewed.map(|generation| generation.number).map_err(|error| error.to_string())
    };
    let same = NotRenewed::SameKey.to_string();
    assert_eq!(renew(1, 1, NOW).await, Err(same));
    assert_eq!(renew(1, 2, NOW).await, Ok(2));
    assert_eq!(renew(1, 2, NOW).await, Ok(2), "again with the same key");
    assert_eq!(registry.settle(claim(1, NOW)).await.unwrap(), Settled::Unchanged, "not used yet");
    assert_eq!(registry.settle(claim(2, NOW)).await.unwrap(), Settled::Advanced);
    assert_eq!(registry.settle(claim(2, NOW)).await.unwrap(), Settled::Unchanged);
    assert_eq!(renew(1, 2, NOW).await, Ok(2), "an answer that came too late is given again");
    assert_eq!(renew(1, 3, NOW).await, Err("the certificate was followed by generation 2".to_owned()));
    // Renewing with a key that was not used before is its first use.
    assert_eq!(renew(2, 3, NOW).await, Ok(3));
    assert_eq!(renew(3, 4, NOW).await, Ok(4));
    assert_eq!(registry.list_nodes().await.unwrap()[0].keys.generation.number, 3);

    let late = later(Duration::from_secs(61));
    let copied = "generation 2 of node n1 is already used; identity frozen";
    assert_eq!(renew(2, 9, late).await, Err(copied.to_owned()));
    assert!(access(&registry, "n1", [3; 32]).starts_with("node n1 frozen at"), "both are refused");
    let gone = "node n1 may not renew: it is revoked, frozen or not enrolled";
    assert_eq!(renew(3, 4, late).await, Err(gone.to_owned()));
    assert_eq!(registry.settle(claim(3, late)).await.unwrap(), Settled::Unchanged);
    let actions: Vec<String> = registry
        .list_audit(&AuditFilter::default(), 20)
        .await
        .unwrap()
        .into_iter()
        .map(|line| line.action)
        .collect();
    assert!(actions.contains(&"freeze".to_owned()) && actions.contains(&"advance".to_owned()), "{actions:?}");
    registry.close().await;

    let registry = open(&dir).await;
    assert!(access(&registry, "n1", [3; 32]).starts_with("node n1 frozen at"), "also after a restart");
    let fresh = enrol(&registry, node("n1", true), OTHER).await.unwrap().generation.unwrap();
    assert_eq!(access_as(&registry, "n1", (fresh, OTHER)), "allowed", "enrolling again thaws it");
}

#[tokio::test]
async fn a_registry_from_an_older_copy_learns_what_it_missed() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    enrol(&registry, node("n1", false), KEY).await.unwrap();
    assert_eq!(registry.settle(claim(7, NOW)).await.unwrap(), Settled::Advanced);
    assert_eq!(registry.list_nodes().await.unwrap()[0].keys.current, [7; 32]);
    let detail = &registry.list_audit(&AuditFilter::default(), 1).await.unwrap()[0].detail;
    assert!(detail.contains("did not know"), "{detail}");
    assert!(registry.certified_before(later(Duration::from_secs(1))).await.unwrap() == ["node n1"]);
    assert!(registry.certified_before(NOW).await.unwrap().is_empty());
}

/// What the newest lines say, without times.
async fn told(registry: &Registry, filter: AuditFilter) -> Vec<String> {
    let lines = registry.list_audit(&filter, 100).await.unwrap();
    let brief =
        |line: &AuditLine| format!("{} {} {}: {}", line.actor, line.action, line.subject, line.detail);
    lines.iter().map(brief).collect()
}

#[tokio::test]
async fn maintenance_ends_by_itself_unless_it_is_prolonged() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    enrol(&registry, node("n1", false), KEY).await.unwrap();
    let shown = || registry.roster().borrow().members()[0].maintenance.clone();
    let set = async |by: u64, reason: &str| {
        let until = Some(later(Duration::from_secs(by)));
        let wanted = Maintenance { until, reason: reason.into() };
        registry.set_maintenance(("otto", reason), "n1", Some(&wanted), NOW).await.unwrap();
        assert_eq!(shown(), Some(wanted));
    };
    set(60, "new disk").await;
    registry.end_maintenance(later(Duration::from_millis(59_999))).await.unwrap();
    assert!(shown().is_some());
    set(120, "").await;
    registry.end_maintenance(later(Duration::from_secs(60))).await.unwrap();
    assert!(shown().is_some(), "the newer end counts");
    registry.end_maintenance(later(Duration::from_secs(120))).await.unwrap();
    assert_eq!(shown(), None);
    registry.end_maintenance(later(Duration::from_secs(121))).await.unwrap();
    let for_ever = Maintenance::default();
    registry.set_maintenance(("otto", ""), "n1", Some(&for_ever), NOW).await.unwrap();
    registry.end_maintenance(WallTime(i64::MAX)).await.unwrap();
    assert_eq!(shown(), Some(for_ever));
    registry.set_maintenance(("otto", "done"), "n1", None, NOW).await.unwrap();
    assert_eq!(shown(), None);
    let long = registry.set_maintenance(("otto", &"x".repeat(1025)), "n1", None, NOW).await.unwrap_err();
    assert_eq!(long.to_string(), "reason is longer than 1024 bytes");
    let lines = told(&registry, AuditFilter { subject: Some("n1".into()), ..AuditFilter::default() }).await;
    let expect = [
        "otto set_maintenance n1: off: done".to_owned(),
        "otto set_maintenance n1: on".to_owned(),
        "aggregator end_maintenance n1: its time is over".to_owned(),
        format!("otto set_maintenance n1: on until {}", later(Duration::from_secs(120))),
        format!("otto set_maintenance n1: on until {}: new disk", later(Duration::from_secs(60))),
    ];
    assert_eq!(lines[..5], expect);
    assert_eq!(lines.len(), 7, "and how it came in: {lines:?}");
}

#[tokio::test]
async fn the_audit_log_is_read_by_page_and_by_question() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    for (second, name) in (0..).zip(["n1", "n2", "n3"]) {
        let now = later(Duration::from_secs(second));
        registry.create_token("ada", &node(name, name == "n3"), None, now).await.unwrap();
    }
    // The clock was set back: the order is that of the writing.
    registry.note_rate("otto", "n1", "all every 1000 ms for 60000 ms".into(), NOW).await.unwrap();
    let all = registry.list_audit(&AuditFilter::default(), 100).await.unwrap();
    assert_eq!(all.iter().map(|line| &*line.subject).collect::<Vec<_>>(), ["n1", "n3", "n2", "n1"]);
    assert!(
        all[1].detail.ends_with(", may replace its key") && !all[2].detail.contains("replace"),
        "{all:?}"
    );
    let first = registry.list_audit(&AuditFilter::default(), 3).await.unwrap();
    let rest = AuditFilter { before: Some(first[2].id), ..AuditFilter::default() };
    assert_eq!([&first[..], &registry.list_audit(&rest, 3).await.unwrap()[..]].concat(), all);
    let check = async |filter: AuditFilter, expect: &[usize]| {
        let expect: Vec<_> = expect.iter().map(|at| all[*at].clone()).collect();
        assert_eq!(registry.list_audit(&filter, 9).await.unwrap(), expect, "{filter:?}");
    };
    let second = Some(later(Duration::from_secs(1)));
    check(AuditFilter { since: second, ..AuditFilter::default() }, &[1, 2]).await;
    check(AuditFilter { until: second, ..AuditFilter::default() }, &[0, 3]).await;
    check(AuditFilter { actor: Some("otto".into()), ..AuditFilter::default() }, &[0]).await;
    check(AuditFilter { subject: Some("n1".into()), ..AuditFilter::default() }, &[0, 3]).await;
    check(AuditFilter { action: Some("create_token".into()), ..AuditFilter::default() }, &[1, 2, 3]).await;
    check(AuditFilter { actor: Some("' OR 1 = 1 --".into()), ..AuditFilter::default() }, &[]).await;
}

#[tokio::test]
async fn what_can_be_repeated_without_end_pushes_no_change_out() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir).await;
    for name in ["n1", "n2", "n3"] {
        registry.create_token("ada", &node(name, false), None, NOW).await.unwrap();
    }
    for number in 0..5 {
        registry.note_refusal("vera", "/s/M", number.to_string(), NOW).await.unwrap();
        registry.note_rate("otto", "n1", number.to_string(), NOW).await.unwrap();
    }
    assert_eq!(registry.trim_audit(AuditKept::default(), NOW).await.unwrap(), 0);
    assert_eq!(registry.trim_audit(AuditKept { changes: 3, passing: 3 }, NOW).await.unwrap(), 7);
    let lines = told(&registry, AuditFilter::default()).await;
    let trimmed = "aggregator trim_audit audit: removed the 0 oldest lines of changes, 7 of calls";
    let kept = [trimmed, "otto set_rate n1: 4", "vera refused /s/M: 4", "otto set_rate n1: 3"];
    assert_eq!(lines[..4], kept);
    assert_eq!(lines.len(), 7, "{lines:?}");
    assert_eq!(registry.trim_audit(AuditKept { changes: 3, passing: 3 }, NOW).await.unwrap(), 1);
    let lines =
        told(&registry, AuditFilter { action: Some("create_token".into()), ..Default::default() }).await;
    assert!(lines.len() == 2 && lines[1].contains(" n2: "), "the oldest goes first: {lines:?}");
}

#[tokio::test]
async fn an_audit_log_from_before_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("registry.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let first = sqlx::migrate!("./migrations");
    let first = sqlx::migrate::Migrator { migrations: first.migrations[..1].to_vec().into(), ..first };
    first.run(&pool).await.unwrap();
    for at in [2, 1] {
        let sql = "INSERT INTO audit (at_ms, actor, action, subject, detail) VALUES ($1, 'a', 'b', 'c', 'd')";
        sqlx::query(sql).bind(at).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let lines = open(&dir).await.list_audit(&AuditFilter::default(), 9).await.unwrap();
    let told: Vec<_> = lines.iter().map(|line| (line.id, line.at.as_millis(), &*line.detail)).collect();
    assert_eq!(told, [(2, 2, "d"), (1, 1, "d")]);
}
