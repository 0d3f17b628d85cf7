//! The API over a store in memory, request by request, as Grafana and others send them.

mod bad;
mod turn;
mod world;

use serde_json::{Value, json};
use world::{BEGIN_S, Client, NOW_S};

#[tokio::test]
async fn save_and_test() {
    let client = Client::new();
    let expect = json!({"status": "success", "data": {"resultType": "scalar", "result": [4, "2"]}});
    for path in ["/api/v1/query", "/prometheus/api/v1/query"] {
        let (status, answer) = client.post(path, "query=1%2B1&time=4").await;
        assert_eq!((status.as_u16(), answer), (200, expect.clone()), "{path}");
    }
    assert_eq!(client.get("/api/v1/query?query=1%2B1&time=4&timeout=60s").await.1, expect);
    assert_eq!(client.get("/api/v1/query?query=1%2B1&time=1970-01-01T00:00:04Z&stats=all").await.1, expect);
}

#[tokio::test]
async fn build_says_a_version_that_grafana_trusts_and_no_features() {
    let build = Client::new().data("/api/v1/status/buildinfo").await;
    assert_eq!((&build["version"], &build["application"]), (&json!("2.53.0"), &json!("quorate")));
    assert_eq!(build.get("features"), None);
}

#[tokio::test]
async fn instant_panels() {
    let client = Client::new();
    let at = NOW_S - 7;
    let query = format!("query=node_load1%7Binstance%3D%22n1%22%7D&time={at}.250");
    let (status, answer) = client.post("/api/v1/query", &query).await;
    let metric = json!({"__name__": "node_load1", "cluster": "default", "instance": "n1", "job": "quorate",
        "node": "n1", "zone": "rack-a"});
    let vector = json!([{"metric": metric, "value": [at as f64 + 0.25, "58.5"]}]);
    assert_eq!((status.as_u16(), &answer["data"]), (200, &json!({"resultType": "vector", "result": vector})));
    let values = |answer: Value| -> Vec<Value> {
        answer["result"].as_array().unwrap().iter().map(|series| series["value"][1].clone()).collect()
    };
    let odd = client.data("/api/v1/query?query=sort_by_label(odd_value%7Bnode=%22n1%22%7D,%22of%22)").await;
    assert_eq!(values(odd), ["+Inf", "NaN"]);
    let short = client.data("/api/v1/query?query=count(node_load1)&lookback_delta=5s&time=1000005").await;
    assert_eq!(values(short), Vec::<Value>::new(), "the sample before is too old");
    let text = client.data("/api/v1/query?query=%22a%22&time=1").await;
    assert_eq!(text, json!({"resultType": "string", "result": [1, "a"]}));
    let matrix = client.data("/api/v1/query?query=node_load1%7Bnode=%22n2%22%7D%5B30s%5D&time=1000030").await;
    assert_eq!(matrix["resultType"], "matrix");
    assert_eq!(matrix["result"][0]["values"], json!([[1_000_015, "1.5"], [1_000_030, "3"]]));
    let (_, cut) = client.get("/api/v1/query?query=node_load1&limit=1").await;
    assert_eq!(cut["data"]["result"].as_array().unwrap().len(), 1);
    assert_eq!(cut["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn graphs() {
    let client = Client::new();
    let (start, end) = (BEGIN_S + 60, BEGIN_S + 90);
    let form = format!(
        "query=rate(node_cpu_seconds_total%7Bmode%3D%22user%22%7D%5B1m%5D)&start={start}.000&end={end}&step=15"
    );
    let (status, answer) = client.post("/api/v1/query_range", &form).await;
    assert_eq!((status.as_u16(), &answer["data"]["resultType"]), (200, &json!("matrix")));
    let result = answer["data"]["result"].as_array().unwrap();
    assert_eq!(result.len(), 2, "of both nodes");
    assert_eq!(result[0]["metric"]["node"], "n1");
    assert_eq!(result[0]["metric"].get("__name__"), None);
    let expect = json!([[start, "0.25"], [start + 15, "0.25"], [end, "0.25"]]);
    assert_eq!(result[0]["values"], expect);
    let path = format!("/api/v1/query_range?query=1&start={start}&end={end}&step=30s");
    let scalar = client.data(&path).await;
    let series = json!([{"metric": {}, "values": [[start, "1"], [end, "1"]]}]);
    assert_eq!(scalar, json!({"resultType": "matrix", "result": series}));
    let path = format!(
        "/api/v1/query_range?query=ALERTS%7Balertstate=%22firing%22%7D&start={start}&end={end}&step=30s"
    );
    assert_eq!(client.data(&path).await["result"], json!([]));
}

#[tokio::test]
async fn labels_by_get_and_by_post() {
    let client = Client::new();
    let all = [
        "__name__",
        "cluster",
        "cpu",
        "exported_job",
        "instance",
        "job",
        "mode",
        "node",
        "nodename",
        "of",
        "sysname",
        "zone",
    ];
    assert_eq!(client.data("/api/v1/labels").await, json!(all));
    assert_eq!(client.post("/api/v1/labels", "limit=40000").await.1["data"], json!(all));
    let path = "/api/v1/labels?match[]=node_load1&match%5B%5D=%7Bof=%22nothing%22%7D&start=1&end=2000000";
    let some = client.data(path).await;
    assert_eq!(some, json!(["__name__", "cluster", "instance", "job", "node", "of", "zone"]));
    let (_, cut) = client.get("/api/v1/labels?limit=2").await;
    assert_eq!(cut["data"], json!(["__name__", "cluster"]));
    assert_eq!(cut["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn values_of_labels() {
    let client = Client::new();
    for (path, expect) in [
        ("/api/v1/label/instance/values", json!(["n1", "n2"])),
        ("/api/v1/label/job/values?match[]=node_uname_info", json!(["quorate"])),
        ("/api/v1/label/exported_job/values", json!(["mine"])),
        ("/api/v1/label/U__node/values", json!(["n1", "n2"])),
        ("/api/v1/label/U__http_2e_status/values", json!([])),
        ("/api/v1/label/mode/values?match[]=%7Bcpu=%220%22,node=%22n1%22%7D", json!(["idle", "user"])),
        (
            "/api/v1/label/__name__/values?match[]=%7B__name__=~%22.%2B%22%7D&limit=2",
            json!(["node_cpu_seconds_total", "node_load1"]),
        ),
        ("/prometheus/api/v1/label/zone/values?match[]=%7B__name__!=%22%22%7D", json!(["rack-a"])),
    ] {
        assert_eq!(client.data(path).await, expect, "{path}");
    }
}

#[tokio::test]
async fn series_by_selectors() {
    let client = Client::new();
    let uname = client.data("/api/v1/series?match[]=node_uname_info%7Binstance=%22n1%22%7D").await;
    let expect = json!([{"__name__": "node_uname_info", "cluster": "default", "instance": "n1", "job": "quorate",
        "node": "n1", "nodename": "host", "sysname": "Linux", "zone": "rack-a"}]);
    assert_eq!(uname, expect);
    let form = "match[]=node_load1&match%5B%5D=own_requests&match%5B%5D=node_load1&start=1&end=2";
    let (_, both) = client.post("/api/v1/series", form).await;
    assert_eq!(both["data"].as_array().unwrap().len(), 4);
    let (_, cut) = client.get("/api/v1/series?match[]=%7Bnode=~%22.%2B%22%7D&limit=3").await;
    assert_eq!(cut["data"].as_array().unwrap().len(), 3);
    assert_eq!(cut["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn metadata_of_the_catalog() {
    let client = Client::new();
    let all = client.data("/api/v1/metadata").await;
    let cpu =
        json!([{"type": "counter", "help": "Time that a processor spent in each mode.", "unit": "seconds"}]);
    assert_eq!(all["node_cpu_seconds_total"], cpu);
    assert_eq!(all["node_load1"][0]["unit"], "", "threads are no unit");
    assert_eq!(all["odd_value"], json!([{"type": "gauge", "help": "", "unit": ""}]));
    assert_eq!(client.data("/api/v1/metadata?limit=1").await.as_object().unwrap().len(), 1);
    let one = client.data("/api/v1/metadata?metric=node_load1&limit_per_metric=1").await;
    assert_eq!(one.as_object().unwrap().keys().collect::<Vec<_>>(), ["node_load1"]);
}

#[tokio::test]
async fn what_there_is_not_is_empty() {
    let client = Client::new();
    for (path, expect) in [
        ("/api/v1/rules", json!({"groups": []})),
        ("/api/v1/rules?type=alert", json!({"groups": []})),
        ("/api/v1/alerts", json!({"alerts": []})),
        ("/api/v1/alertmanagers", json!({"activeAlertmanagers": [], "droppedAlertmanagers": []})),
        ("/api/v1/query_exemplars?query=node_load1&start=1&end=2", json!([])),
    ] {
        assert_eq!(client.data(path).await, expect, "{path}");
    }
    let (_, exemplars) = client.post("/api/v1/query_exemplars", "query=up&start=1&end=2").await;
    assert_eq!(exemplars["data"], json!([]));
}

#[tokio::test]
async fn post_to_what_is_only_read_is_not_allowed() {
    let client = Client::new();
    for path in [
        "label/job/values",
        "metadata",
        "rules",
        "alerts",
        "targets",
        "alertmanagers",
        "status/buildinfo",
        "status/config",
        "status/flags",
        "status/runtimeinfo",
        "status/tsdb",
    ] {
        let (status, _) = client.post(&format!("/api/v1/{path}"), "limit=1").await;
        assert_eq!(status.as_u16(), 405, "{path}");
    }
}

#[tokio::test]
async fn targets_are_the_agents() {
    let client = Client::new();
    let all = client.data("/api/v1/targets").await;
    let active = all["activeTargets"].as_array().unwrap();
    let seen: Vec<_> =
        active.iter().map(|one| (one["labels"]["instance"].clone(), one["health"].clone())).collect();
    assert_eq!(seen, [(json!("n1"), json!("up")), (json!("n2"), json!("down"))]);
    assert_eq!(active[0]["lastScrape"], "1970-01-12T13:56:39.000Z");
    assert_eq!(active[1]["lastError"], "not heard for 20 s");
    assert_eq!(all["droppedTargets"], json!([]));
    assert_eq!(client.data("/api/v1/targets?state=dropped").await["activeTargets"], json!([]));
    assert_eq!(client.data("/api/v1/targets?scrapePool=other").await["activeTargets"], json!([]));
}

#[tokio::test]
async fn status_is_what_is() {
    let client = Client::new();
    assert!(client.data("/api/v1/status/config").await["yaml"].is_string());
    let flags = client.data("/api/v1/status/flags").await;
    assert_eq!(
        (&flags["query.timeout"], &flags["query.lookback-delta"]),
        (&json!("120000ms"), &json!("300s"))
    );
    let runtime = client.data("/api/v1/status/runtimeinfo").await;
    assert_eq!(runtime["startTime"], "1970-01-12T13:56:40.000Z");
    let store = client.data("/api/v1/status/tsdb?limit=1").await;
    assert_eq!(store["headStats"]["numSeries"], 14);
    assert_eq!(store["seriesCountByMetricName"], json!([{"name": "node_cpu_seconds_total", "value": 4}]));
    assert_eq!(store["labelValueCountByLabelName"], json!([{"name": "__name__", "value": 5}]));
}

#[tokio::test]
async fn queries_are_laid_out_and_taken_apart() {
    let client = Client::new();
    assert_eq!(client.data("/api/v1/format_query?query=foo/bar").await, "foo / bar");
    let (_, tree) =
        client.post("/api/v1/parse_query", "query=sum by(a)(rate(x%7Bb!%3D%22c%22%7D[5m] offset 1m))").await;
    let selector = json!({"type": "matrixSelector", "name": "x", "range": 300_000, "offset": 60_000,
        "matchers": [{"name": "b", "type": "!=", "value": "c"}, {"name": "__name__", "type": "=", "value": "x"}],
        "timestamp": null, "startOrEnd": null});
    let rate = json!({"type": "call", "args": [selector], "func": {"name": "rate", "argTypes": ["matrix"],
        "variadic": 0, "returnType": "vector"}});
    let sum = json!({"type": "aggregation", "op": "sum", "expr": rate, "param": null, "grouping": ["a"],
        "without": false});
    assert_eq!(tree["data"], sum);
    let tree = client.data("/api/v1/parse_query?query=a%20*%20on(b)%20group_left(c)%20d").await;
    let matching = json!({"card": "many-to-one", "labels": ["b"], "on": true, "include": ["c"]});
    assert_eq!((&tree["op"], &tree["matching"], &tree["bool"]), (&json!("*"), &matching, &json!(false)));
}
