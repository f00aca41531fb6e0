//! F while units of a prompt are removed or kept: what a test of a map looks at.

use super::area_key;
use super::axis::Axis;
use super::canvas::Ink;
use super::sheet::{Sheet, WIDTH};
use crate::terms::{CurvePoint, Curves};

/// The three curves, each with dashes of its own, over the band of shuffled maps. `told` is the same in words.
pub fn curves(curves: &Curves, unit: &str, told: &str) -> String {
    let lines = [&curves.morf, &curves.lerf, &curves.keep];
    let of_lines = lines.iter().flat_map(|line| line.iter().map(|(_, f)| *f));
    let of_band = curves
        .shuffled
        .iter()
        .flat_map(|band| band.low.iter().chain(&band.high).copied());
    let sheet = Sheet {
        size: (WIDTH, 236),
        labels: (46, 34),
        x: Axis::share("share removed, or kept"),
        y: Axis::over(of_lines.chain(of_band), unit),
    };
    sheet.draw(told, |pen| {
        if let Some(band) = &curves.shuffled {
            let ends = band.low.iter().zip(&band.high);
            let points: Vec<(f64, f64, f64)> = curves
                .morf
                .iter()
                .zip(ends)
                .map(|((share, _), (low, high))| (*share, *low, *high))
                .collect();
            pen.band(Ink::Back, &points);
            let mean: Vec<CurvePoint> = curves
                .morf
                .iter()
                .zip(&band.mean)
                .map(|((share, _), mean)| (*share, *mean))
                .collect();
            pen.line(Ink::Axis, mean);
        }
        for (series, line) in lines.into_iter().enumerate() {
            pen.line(Ink::Line(series as u8), line.iter().copied());
        }
    })
}

/// The signs of [`curves`], and what they mean; `units` is what is removed, in the plural.
pub fn curves_keys(units: &str, shuffles: Option<usize>) -> Vec<(String, String)> {
    let key = |series: u8| Sheet::key(|pen| pen.line(Ink::Line(series), [(0.0, 6.0), (28.0, 6.0)]));
    let mut keys = vec![
        (key(0), format!("strongest {units} removed first")),
        (key(1), format!("strongest {units} removed last")),
        (key(2), format!("strongest {units} kept, all others removed")),
    ];
    keys.extend(shuffles.map(|count| {
        (
            area_key(Ink::Back),
            format!("from lowest to highest of {count} shuffles of the scores, and their mean"),
        )
    }));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::{Band, ShuffledCurves};

    #[test]
    fn curves_lie_over_the_band_of_the_shuffles() {
        let line = |values: [f64; 3]| -> Vec<CurvePoint> { [0.0, 0.5, 1.0].into_iter().zip(values).collect() };
        let drawn = Curves {
            morf: line([1.0, 0.25, 0.0]),
            lerf: line([1.0, 0.75, 0.0]),
            keep: line([0.0, 0.75, 1.0]),
            shuffled: Some(ShuffledCurves {
                mean: vec![1.0, 0.5, 0.0],
                low: vec![1.0, 0.25, 0.0],
                high: vec![1.0, 0.75, 0.0],
                keep: Band::default(),
            }),
        };
        let svg = curves(&drawn, "probability", "It \"fell\".");
        assert!(svg.contains("aria-label=\"It &quot;fell&quot;.\""));
        let order = [
            "class=\"back\"",
            "class=\"line m0\"",
            "class=\"line m1\"",
            "class=\"line m2\"",
        ];
        let places: Vec<usize> = order.iter().map(|class| svg.find(class).expect(class)).collect();
        assert!(places.is_sorted(), "{svg}");
        // Half of the units removed, a quarter of the way up: where the lower end of the band is.
        let middle = svg
            .split("class=\"line m0\" d=\"")
            .nth(1)
            .and_then(|rest| rest.split('L').nth(1));
        let middle = middle.expect("a point in the middle");
        let band = svg
            .split("class=\"back\" d=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        assert!(band.expect("a band").contains(middle), "{middle} in {svg}");
        assert_eq!(curves_keys("words", Some(20)).len(), 4);
        let alone = Curves {
            shuffled: None,
            ..drawn
        };
        assert!(!curves(&alone, "", "").contains("back"));
    }

    #[test]
    fn any_curve_gives_a_finite_plot() {
        for values in [
            vec![],
            vec![(0.0, f64::NAN), (1.0, f64::INFINITY)],
            vec![(0.0, 0.0), (1.0, 0.0)],
        ] {
            let drawn = Curves {
                morf: values.clone(),
                lerf: vec![],
                keep: values,
                shuffled: None,
            };
            let svg = curves(&drawn, "", "");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
