//! Requests that cannot be meant, or want too much.

use super::world::{Client, api, store};
use crate::limit::{Limits, QueryLimits};
use std::fmt::Write;
use std::sync::Arc;

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        write!(escaped, "%{byte:02x}").unwrap();
        escaped
    })
}

fn query(text: &str) -> String {
    format!("/api/v1/query?query={}", escaped(text))
}

#[tokio::test]
async fn texts_that_are_no_queries() {
    let client = Client::new();
    let before = "invalid parameter \"query\": unknown position: parse error: ";
    for text in [
        "",
        "((",
        &"(".repeat(1000),
        &format!("{}1{}", "(".repeat(1000), ")".repeat(1000)),
        "{}",
        "x{",
        "1 +",
    ] {
        let (status, kind, error) = client.refusal(&query(text)).await;
        assert_eq!((status, &*kind), (400, "bad_data"), "{text}");
        assert!(error.starts_with(before), "{text}: {error}");
    }
    let empty = client.refusal("/api/v1/query").await.2;
    assert_eq!(empty, format!("{before}no expression found in input"));
    let (status, answer) = client.post("/api/v1/query", &format!("query={}", "a".repeat(100 * 1024))).await;
    assert_eq!((status.as_u16(), &answer["errorType"]), (400, &"bad_data".into()));
    let (status, answer) = client.post("/api/v1/query", &format!("query={}", "a".repeat(1 << 20))).await;
    assert_eq!((status.as_u16(), &answer["errorType"]), (400, &"bad_data".into()));
    let utf8 = client.refusal("/api/v1/query?query=%ff").await;
    assert_eq!(utf8, (400, "bad_data".into(), "invalid parameter \"query\": not UTF-8".into()));
}

#[tokio::test]
async fn queries_for_everything() {
    let limits = QueryLimits { samples_max: 1_000, ..QueryLimits::default() };
    let limits = Limits { query: limits, ..Limits::default() };
    // 14 series with 40 samples each.
    let small = Client(api(Arc::new(store()), limits).router());
    for text in [
        "count_over_time({__name__=~\".+\"}[30d]) + count_over_time({__name__=~\".+\"}[30d])",
        "sum_over_time(vector(1)[100y:1ms])",
    ] {
        let (status, kind, error) = small.refusal(&query(text)).await;
        assert_eq!((status, &*kind), (422, "execution"), "{text}");
        let expect =
            "query processing would load too many samples into memory in query execution, limit 1000";
        assert_eq!(error, expect);
    }
    let data = Client::new().data(&query("sum(count_over_time({__name__=~\".+\"}[1000y]))")).await;
    assert_eq!(data["result"][0]["value"][1], "560");
}

#[tokio::test]
async fn ranges_that_are_none() {
    let client = Client::new();
    for (rest, expect) in [
        (
            "start=0&end=10&step=0",
            "\"step\": zero or negative query resolution step widths are not accepted.",
        ),
        (
            "start=0&end=10&step=-1",
            "\"step\": zero or negative query resolution step widths are not accepted.",
        ),
        ("start=10&end=0&step=1", "\"end\": end timestamp must not be before start time"),
        ("start=0&end=1000000&step=1", "exceeded maximum resolution of 11,000 points per timeseries."),
        ("start=NaN&end=1&step=1", "\"start\": cannot parse \"NaN\" to a valid timestamp"),
        ("end=1&step=1", "\"start\": cannot parse \"\" to a valid timestamp"),
        ("start=0&end=1", "\"step\": cannot parse \"\" to a valid duration"),
        ("start=0&end=1&step=1y1y", "\"step\": cannot parse \"1y1y\" to a valid duration"),
        (
            "start=2015-07-01T20:10:51%2B99:00&end=1&step=1",
            "\"start\": cannot parse \"2015-07-01T20:10:51+99:00\" to a valid timestamp",
        ),
        ("start=0&end=1&step=1&timeout=x", "\"timeout\": cannot parse \"x\" to a valid duration"),
    ] {
        let (status, kind, error) = client.refusal(&format!("/api/v1/query_range?query=1&{rest}")).await;
        assert_eq!((status, &*kind), (400, "bad_data"), "{rest}");
        assert!(error.contains(expect), "{rest}: {error}");
    }
    let path = "/api/v1/query_range?start=0&end=1&step=1&query=";
    let (_, _, error) = client.refusal(&format!("{path}{}", escaped("x[5m]"))).await;
    assert!(error.contains("invalid expression type \"range vector\" for range query"), "{error}");
    let (_, _, error) = client.refusal(&format!("{path}{}", escaped("\"a\""))).await;
    assert!(error.contains("invalid expression type \"string\" for range query"), "{error}");
}

#[tokio::test]
async fn patterns_take_no_longer_than_their_text() {
    let client = Client::new();
    let slow = format!("node_load1{{node=~\"(a+)+$\",zone!~\"({}+)+b\"}}", "a?".repeat(30));
    assert_eq!(client.data(&query(&slow)).await["result"], serde_json::json!([]));
    let names: Vec<String> = (0..1500).map(|number| format!("n{number}")).collect();
    let many = format!("count(node_load1{{node=~\"{}\"}})", names.join("|"));
    assert_eq!(client.data(&query(&many)).await["result"][0]["value"][1], "2");
    let (status, kind, error) = client.refusal(&query(r#"x{a=~".{9000}"}"#)).await;
    assert_eq!((status, &*kind), (400, "bad_data"));
    assert!(error.contains("takes more than 524288 bytes of memory"), "{error}");
}

#[tokio::test]
async fn arithmetic_is_that_of_ieee_and_joins_are_judged() {
    let client = Client::new();
    for (text, expect) in [
        ("1/0", "+Inf"),
        ("-1/0", "-Inf"),
        ("0/0", "NaN"),
        ("1e400", "+Inf"),
        ("scalar(sqrt(vector(-1)))", "NaN"),
    ] {
        assert_eq!(client.data(&query(text)).await["result"][1], expect, "{text}");
    }
    let text = "node_cpu_seconds_total * on(node) node_cpu_seconds_total";
    let (status, kind, error) = client.refusal(&query(text)).await;
    assert_eq!((status, &*kind), (422, "execution"));
    assert!(error.contains("many-to-many matching not allowed"), "{error}");
}

#[tokio::test]
async fn selectors_and_limits_that_cannot_be_meant() {
    let client = Client::new();
    for (path, expect) in [
        ("/api/v1/series", "no match[] parameter provided"),
        ("/api/v1/series?match[]=%7B%7D", "invalid parameter \"match[]\": "),
        ("/api/v1/series?match[]=%7Ba=~%22.*%22%7D", "invalid parameter \"match[]\": "),
        ("/api/v1/labels?match[]=rate(x[5m])", "invalid parameter \"match[]\": "),
        (
            "/api/v1/labels?limit=x",
            "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        ("/api/v1/labels?start=x", "invalid parameter \"start\": cannot parse \"x\" to a valid timestamp"),
        ("/api/v1/label/a/values?limit=-1", "invalid parameter \"limit\": limit must be non-negative"),
        ("/api/v1/rules?type=x", "invalid parameter \"type\": not supported value \"x\""),
        ("/api/v1/targets?state=x", "invalid parameter \"state\": not supported value \"x\""),
        ("/api/v1/query_exemplars?query=x&start=2&end=1", "end timestamp must not be before start timestamp"),
        ("/api/v1/format_query?query=x%7B", "invalid parameter \"query\": "),
        ("/api/v1/parse_query", "invalid parameter \"query\": "),
    ] {
        let (status, kind, error) = client.refusal(path).await;
        assert_eq!((status, &*kind), (400, "bad_data"), "{path}");
        assert!(error.contains(expect), "{path}: {error}");
    }
}

#[tokio::test]
async fn paths_lead_nowhere_else() {
    let client = Client::new();
    for path in
        ["/api/v1/../../etc/passwd", "/api/v1/label/%2e%2e%2f/values/x", "//api/v1/labels", "/api/v1/nothing"]
    {
        assert_eq!(client.get(path).await.0.as_u16(), 404, "{path}");
    }
    assert_eq!(client.data("/api/v1/label/%2e%2e%2f/values").await, serde_json::json!([]));
    assert_eq!(client.data("/api/v1/label/%00/values").await, serde_json::json!([]));
}
