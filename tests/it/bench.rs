//! `dragoman bench serve` against a server that lives in the test and whose
//! delays and faults are known.

#![cfg(all(unix, feature = "server"))]

mod command;
mod faults;
mod mock;
mod timing;

use std::sync::Arc;
use std::time::Duration;

use dragoman::bench::figures::Figures;
use dragoman::bench::load::{Driver, Live, Target, TargetSettings};
use dragoman::bench::run::{Endpoint, Limit, Pace, Run, Settings};
use dragoman::bench::workload::random::{Random, RandomSettings};
use tokio_util::sync::CancellationToken;

/// Load on `url`; chat unless said otherwise.
struct Load {
    url: String,
    endpoint: Endpoint,
    pace: Pace,
    limit: Limit,
    timeout: Duration,
    batch: usize,
    slo: Option<&'static str>,
}

impl Load {
    fn new(url: &str, concurrency: usize, requests: usize) -> Self {
        Self {
            url: url.to_owned(),
            endpoint: Endpoint::Chat,
            pace: Pace::Concurrency(concurrency),
            limit: Limit::Requests(requests),
            timeout: Duration::from_secs(20),
            batch: 1,
            slo: None,
        }
    }

    async fn run(self) -> (Run, Figures) {
        self.run_until(CancellationToken::new()).await
    }

    async fn run_until(self, cancel: CancellationToken) -> (Run, Figures) {
        let target = Target::connect(TargetSettings {
            url: self.url.clone(),
            model: Some("mock".into()),
            api_key: None,
            endpoint: self.endpoint,
            timeout: self.timeout,
            ignore_eos: false,
            extra: Default::default(),
        });
        let random = RandomSettings {
            prompt_tokens: "12".parse().unwrap(),
            output_tokens: "8".parse().unwrap(),
            shared_prefix: 0.0,
            batch: self.batch,
            chat: self.endpoint == Endpoint::Chat,
            seed: 1,
        };
        let driver = Driver {
            target: Arc::new(target.await.unwrap()),
            workload: Arc::new(Random::new(random, None).unwrap()),
            live: Arc::new(Live::default()),
            cancel,
        };
        let settings = Settings {
            url: self.url,
            endpoint: self.endpoint,
            model: "mock".into(),
            tokenizer: None,
            label: None,
            workload: "test".into(),
            pace: self.pace,
            limit: self.limit,
            warmup: 0,
            slo: self.slo.map(|s| s.parse().unwrap()),
            seed: 1,
            ignore_eos: false,
            extra_body: "{}".into(),
        };
        let run = driver.run(settings, 0).await;
        let figures = Figures::of(&run);
        (run, figures)
    }
}
