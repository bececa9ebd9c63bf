//! What nodes cost and count, over time.

use crate::http::{self, Connection};
use anyhow::{Context, Result};
use muster_testkit::Cluster;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

/// A node that cannot say in this time leaves a gap.
const METRICS_WITHIN: Duration = Duration::from_secs(5);

/// One node at one moment.
#[derive(Clone, Default, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) resident_kib: f64,
    pub(crate) threads: f64,
    pub(crate) open_files: f64,
    pub(crate) disk_kib: f64,
    /// By name and labels, as the node writes them; empty where it did not answer in time.
    pub(crate) metrics: BTreeMap<String, f64>,
}

impl Sample {
    /// The sum over all labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let of_name = |key: &str| {
            key.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        };
        let values = self.metrics.iter().filter(|(key, _)| of_name(key));
        values.map(|(_, value)| value).sum()
    }
}

/// Where to look.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) id: u64,
    pid: u32,
    address: SocketAddr,
    folder: PathBuf,
}

impl Watched {
    /// All nodes of a cluster.
    ///
    /// # Errors
    /// One of them does not run.
    pub(crate) fn all(cluster: &Cluster) -> Result<Vec<Self>> {
        let nodes = cluster.ids().into_iter().map(|id| cluster.node(id));
        nodes
            .map(|node| {
                Ok(Self {
                    id: node.id,
                    pid: node.pid().context("a node does not run")?,
                    address: node.address().parse()?,
                    folder: node.data_dir.clone(),
                })
            })
            .collect()
    }

    /// What the system knows, and what the node says.
    pub(crate) async fn sample(&self, at: Duration, connection: &mut Option<Connection>) -> Result<Sample> {
        let mut sample = self.outside(at)?;
        match self.metrics(connection).await {
            Ok(metrics) => sample.metrics = metrics,
            Err(_) => *connection = None,
        }
        Ok(sample)
    }

    fn outside(&self, at: Duration) -> Result<Sample> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).context("the node is gone")?;
        let field = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().next());
            Ok(number.with_context(|| format!("no {name}"))?.parse()?)
        };
        Ok(Sample {
            at,
            resident_kib: field("VmRSS:")?,
            threads: field("Threads:")?,
            open_files: std::fs::read_dir(format!("/proc/{}/fd", self.pid))?.count() as f64,
            disk_kib: disk_bytes(&self.folder) as f64 / 1_024.0,
            metrics: BTreeMap::new(),
        })
    }

    async fn metrics(&self, connection: &mut Option<Connection>) -> Result<BTreeMap<String, f64>> {
        let taken = match connection.take() {
            Some(taken) => taken,
            None => Connection::open(self.address, METRICS_WITHIN).await?,
        };
        let connection = connection.insert(taken);
        let text = connection.call(&http::get("/metrics"), METRICS_WITHIN).await?.ok()?;
        Ok(read_metrics(&String::from_utf8_lossy(&text)))
    }
}

/// What scenes look at. A node writes a thousand lines, of which an hour's samples would fill a gigabyte.
fn is_kept(name: &str) -> bool {
    !name.contains("_bucket{") || name.starts_with("muster_push_sent_age")
}

fn read_metrics(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs
        .filter(|(name, _)| is_kept(name))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

/// Files that come and go meanwhile count or not.
fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// All samples of all nodes.
pub(crate) type Samples = BTreeMap<u64, Vec<Sample>>;

/// Looks at the nodes again and again, until it is dropped. A node that has ended has no more samples.
pub(crate) struct Watch {
    began: Instant,
    samples: Arc<Mutex<Samples>>,
    tasks: JoinSet<()>,
}

impl Watch {
    pub(crate) fn start(watched: &[Watched], every: Duration) -> Self {
        let (began, samples) = (Instant::now(), Arc::new(Mutex::new(Samples::new())));
        let mut tasks = JoinSet::new();
        for node in watched.iter().cloned() {
            let samples = samples.clone();
            tasks.spawn(async move {
                let mut connection = None;
                let mut ticks = tokio::time::interval(every);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
                loop {
                    ticks.tick().await;
                    let Ok(sample) = node.sample(began.elapsed(), &mut connection).await else {
                        return;
                    };
                    let mut samples = samples.lock().unwrap_or_else(PoisonError::into_inner);
                    samples.entry(node.id).or_default().push(sample);
                }
            });
        }
        Self { began, samples, tasks }
    }

    /// The newest of each node.
    pub(crate) fn newest(&self) -> Vec<Sample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.values().filter_map(|samples| samples.last().cloned()).collect()
    }

    /// Since its start.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// All so far.
    pub(crate) fn samples(&self) -> Samples {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn stop(mut self) -> Samples {
        self.tasks.shutdown().await;
        self.samples()
    }
}

/// One column of some samples.
pub(crate) fn column(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    let points = samples
        .iter()
        .map(|sample| (sample.at.as_secs_f64() / 60.0, of(sample)));
    points.filter(|(_, value)| value.is_finite()).collect()
}

/// The same of a metric, without the gaps.
pub(crate) fn metric(samples: &[Sample], name: &str) -> Vec<(f64, f64)> {
    let answered: Vec<_> = samples
        .iter()
        .filter(|sample| !sample.metrics.is_empty())
        .cloned()
        .collect();
    column(&answered, |sample| sample.metric(name))
}

pub(crate) fn highest(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|point| point.1).fold(0.0, f64::max)
}

pub(crate) fn last(points: &[(f64, f64)]) -> f64 {
    points.last().map_or(0.0, |point| point.1)
}

/// The later half of the time.
pub(crate) fn second_half(points: &[(f64, f64)]) -> &[(f64, f64)] {
    let Some((first, last)) = points.first().zip(points.last()) else {
        return points;
    };
    let middle = (first.0 + last.0) / 2.0;
    let begin = points.partition_point(|point| point.0 < middle);
    &points[begin..]
}

/// By least squares: how much is added in a minute.
pub(crate) fn slope_per_minute(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    if count < 2.0 {
        return 0.0;
    }
    let middle_x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let middle_y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in points {
        above += (x - middle_x) * (y - middle_y);
        below += (x - middle_x).powi(2);
    }
    if below == 0.0 { 0.0 } else { above / below }
}

/// The time that `quantile` of what a histogram of a node counted between two samples took at most, by its buckets.
pub(crate) fn bucket_quantile(before: &Sample, after: &Sample, name: &str, label: &str, quantile: f64) -> Option<f64> {
    let begin = format!("{name}_bucket{{");
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for (key, value) in after
        .metrics
        .iter()
        .filter(|(key, _)| key.starts_with(&begin) && key.contains(label))
    {
        let bound = key.split("le=\"").nth(1)?.split('"').next()?;
        let bound = if bound == "+Inf" {
            f64::INFINITY
        } else {
            bound.parse().ok()?
        };
        let before = before.metrics.get(key).copied().unwrap_or(0.0);
        buckets.push((bound, value - before));
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all = buckets.last()?.1;
    if all <= 0.0 {
        return None;
    }
    let place = buckets.iter().find(|bucket| bucket.1 >= all * quantile);
    place.map(|bucket| bucket.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope() {
        let points: Vec<_> = (0..10).map(|x| (f64::from(x), 7.0 + 3.0 * f64::from(x))).collect();
        assert!((slope_per_minute(&points) - 3.0).abs() < 1e-9);
        assert_eq!(second_half(&points).len(), 5);
        assert_eq!(slope_per_minute(&[]), 0.0);
    }

    #[test]
    fn metrics_are_summed_over_their_labels() {
        let sample = Sample {
            metrics: read_metrics("# HELP a\na{x=\"1\"} 2\na{x=\"2\"} 3\nab 5\n"),
            ..Sample::default()
        };
        assert_eq!(sample.metric("a"), 5.0);
        assert_eq!(sample.metric("ab"), 5.0);
    }

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket() {
        let sample = |text| Sample {
            metrics: read_metrics(text),
            ..Sample::default()
        };
        let before = sample(
            "muster_push_sent_age_bucket{via=\"udp\",le=\"1\"} 0\nmuster_push_sent_age_bucket{via=\"udp\",le=\"+Inf\"} 0\n",
        );
        let after = sample(
            "muster_push_sent_age_bucket{via=\"udp\",le=\"1\"} 99\nmuster_push_sent_age_bucket{via=\"udp\",le=\"+Inf\"} 100\n",
        );
        assert_eq!(
            bucket_quantile(&before, &after, "muster_push_sent_age", "udp", 0.99),
            Some(1.0)
        );
        assert_eq!(
            bucket_quantile(&before, &after, "muster_push_sent_age", "udp", 1.0),
            Some(f64::INFINITY)
        );
        assert_eq!(
            bucket_quantile(&before, &after, "muster_push_sent_age", "stream", 0.5),
            None
        );
    }
}
