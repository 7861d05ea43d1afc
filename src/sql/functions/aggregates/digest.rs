//! A t-digest: values with their weights, drawn together where there are too many. Small sets stay exact.

/// Up to as many values are all kept.
const EXACT: usize = 4096;
/// How finely it is drawn together: about as many values remain.
const COMPRESSION: f64 = 500.0;

/// Values with their weights. What is added lies unsorted at the end.
#[derive(Debug, Default, Clone)]
pub(super) struct Digest {
    centroids: Vec<(f64, f64)>,
    limit: usize,
}

impl Digest {
    pub(super) fn add(&mut self, value: f64, weight: f64) {
        self.centroids.push((value, weight));
        if self.centroids.len() > EXACT.max(self.limit) {
            self.compress();
        }
    }

    pub(super) fn centroids(&self) -> &[(f64, f64)] {
        &self.centroids
    }

    fn sort(&mut self) {
        self.centroids.sort_by(|left, right| left.0.total_cmp(&right.0));
    }

    /// Draws neighbours together as long as they stay small for where they lie: at the ends hardly at all.
    fn compress(&mut self) {
        self.sort();
        let total: f64 = self.centroids.iter().map(|(_, weight)| weight).sum();
        let scale = |quantile: f64| {
            COMPRESSION / (2.0 * std::f64::consts::PI) * (2.0 * quantile.clamp(0.0, 1.0) - 1.0).asin()
        };
        let mut drawn: Vec<(f64, f64)> = Vec::new();
        let (mut before, mut lower) = (0.0, scale(0.0));
        let last = self.centroids.len() - 1;
        for (at, &(value, weight)) in self.centroids.iter().enumerate() {
            // The least and the greatest value stay what they are.
            let inner = at > 1 && at < last;
            match drawn.last_mut() {
                Some((mean, held)) if inner && scale((before + *held + weight) / total) - lower <= 1.0 => {
                    *held += weight;
                    *mean += (value - *mean) * weight / *held;
                }
                whole => {
                    if let Some((_, held)) = whole {
                        before += *held;
                        lower = scale(before / total);
                    }
                    drawn.push((value, weight));
                }
            }
        }
        self.centroids = drawn;
        // Without room to grow, every value would draw all together again.
        self.limit = self.centroids.len() * 2;
    }

    /// The value below which this part of all lies, as Trino's digest finds it. Values of weight one are
    /// answers themselves, between heavier ones it interpolates.
    pub(super) fn quantile(&mut self, quantile: f64) -> Option<f64> {
        self.sort();
        let (first, last) = (*self.centroids.first()?, *self.centroids.last()?);
        let total: f64 = self.centroids.iter().map(|(_, weight)| weight).sum();
        let offset = quantile * total;
        if self.centroids.len() == 1 || offset < 1.0 {
            return Some(first.0);
        }
        if total - offset < 1.0 {
            return Some(last.0);
        }
        let mut at = first.1 / 2.0;
        if offset <= at {
            return Some(first.0);
        }
        for pair in self.centroids.windows(2) {
            let ((left, left_weight), (right, right_weight)) = (pair[0], pair[1]);
            let width = f64::midpoint(left_weight, right_weight);
            if at + width > offset {
                return Some(between((left, left_weight), (right, right_weight), offset - at, width));
            }
            at += width;
        }
        Some(last.0)
    }
}

#[allow(clippy::float_cmp)] // A single value weighs one exactly.
fn between(left: (f64, f64), right: (f64, f64), offset: f64, width: f64) -> f64 {
    let (mut from, mut to) = (0.0, 0.0);
    if left.1 == 1.0 {
        if offset < 0.5 {
            return left.0;
        }
        from = 0.5;
    }
    if right.1 == 1.0 {
        if width - offset <= 0.5 {
            return right.0;
        }
        to = 0.5;
    }
    if left.0 == right.0 {
        return left.0;
    }
    let (near, far) = (offset - from, width - offset - to);
    ((left.0 * far + right.0 * near) / (near + far)).clamp(left.0, right.0)
}

#[cfg(test)]
#[allow(clippy::float_cmp)]
mod tests {
    use super::Digest;

    fn of(values: impl IntoIterator<Item = f64>) -> Digest {
        let mut digest = Digest::default();
        values.into_iter().for_each(|value| digest.add(value, 1.0));
        digest
    }

    #[test]
    fn few_values_are_answers_themselves() {
        assert_eq!(of([]).quantile(0.5), None);
        assert_eq!(of([7.0]).quantile(0.9), Some(7.0));
        assert_eq!(of([-1.0, 1.0]).quantile(0.5), Some(1.0));
        assert_eq!(of([3.0, 1.0, 2.0]).quantile(0.5), Some(2.0));
        assert_eq!(of([5.0, 5.0, 5.0, 5.0, 9.0]).quantile(0.5), Some(5.0));
        let many = [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        assert_eq!(of(many).quantile(0.5), Some(3.0));
        assert_eq!(of(many).quantile(0.0), Some(1.0));
        assert_eq!(of(many).quantile(1.0), Some(7.0));
    }

    #[test]
    fn many_values_are_drawn_together_and_stay_near() {
        let mut digest = of((0..200_000).map(f64::from));
        assert!(digest.centroids().len() <= super::EXACT);
        for quantile in [0.001, 0.01, 0.25, 0.5, 0.75, 0.99, 0.999] {
            let found = digest.quantile(quantile).unwrap_or_default();
            assert!((found / 200_000.0 - quantile).abs() < 0.005, "{quantile}: {found}");
        }
        assert_eq!([digest.quantile(0.0), digest.quantile(1.0)], [Some(0.0), Some(199_999.0)]);
    }
}
