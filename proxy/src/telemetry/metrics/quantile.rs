//! Quantiles of a histogram, estimated from its buckets.
//!
//! Envoy keeps log-linear buckets of two decimal digits beside those it exports; we keep only the latter,
//! so our estimate is as coarse as they are. Within a bucket both do the same: the k-th of n samples is
//! taken to stand k/(n+1) of the way through it.

use super::read::Samples;

/// The quantiles that Envoy prints. (envoy: HistogramStatistics::supportedQuantiles)
pub(super) const QUANTILES: [f64; 10] = [0.0, 0.25, 0.5, 0.75, 0.90, 0.95, 0.99, 0.995, 0.999, 1.0];

/// The estimates for [`QUANTILES`]; not a number if there is no sample.
pub(super) fn estimate(samples: &Samples) -> [f64; 10] {
    let total = samples.count();
    QUANTILES.map(|quantile| {
        let rank = ((quantile * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut below = 0;
        for (bucket, count) in samples.counts.iter().enumerate() {
            if below + count >= rank {
                let (first, last) = samples.bounds.span(bucket);
                let way = (rank - below) as f64 / (*count as f64 + 1.0);
                return first as f64 + (last - first) as f64 * way;
            }
            below += count;
        }
        f64::NAN
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::telemetry::metrics::Bounds;

    fn samples(bounds: &[f64], values: &[u64]) -> Samples {
        let mut samples = Samples::none(Arc::new(Bounds::new(bounds).unwrap()));
        for value in values {
            let bucket = samples.bounds.bucket(*value);
            samples.counts[bucket] += 1;
        }
        samples
    }

    #[test]
    fn no_sample_no_quantile() {
        assert!(estimate(&samples(&[1.0], &[])).iter().all(|quantile| quantile.is_nan()));
    }

    #[test]
    fn buckets_of_one_number_are_exact() {
        let values = [0, 0, 0, 1, 1, 1, 1, 2, 2, 2];
        let estimate = estimate(&samples(&[0.5, 1.0, 2.0], &values));
        assert_eq!(estimate, [0.0, 0.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    fn samples_spread_through_their_bucket() {
        // Four samples in 11..=20: they stand at a fifth, two fifths, ...
        let estimate = estimate(&samples(&[10.0, 20.0], &[15, 15, 15, 15]));
        assert!((estimate[0] - 12.8).abs() < 1e-9 && (estimate[2] - 14.6).abs() < 1e-9);
        assert!((estimate[9] - 18.2).abs() < 1e-9);
    }

    #[test]
    fn beyond_all_bounds_the_greatest_is_given() {
        assert_eq!(estimate(&samples(&[10.0], &[1_000_000]))[9], 10.0);
    }
}
