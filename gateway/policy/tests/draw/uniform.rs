//! Every order is as likely as any other, and no place hangs on when its holder joined.
//!
//! The chi-square of n cells has mean n - 1 and variance 2(n - 1): a value more than six standard deviations above the mean fails.
//! Seeds are fixed, so a test that passes once passes always. `WEIR_DRAW_ORDERS=10` draws that many times as often (`make draw`).

use policy::draw::hex::{Hash, Hex};
use policy::permutation::Permutation;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// The bound, in standard deviations.
const BOUND: f64 = 6.0;

fn seeds() -> impl Iterator<Item = Hash> {
    let mut random = StdRng::seed_from_u64(17);
    std::iter::repeat_with(move || Hex(random.random()))
}

/// How far the chi-square of these cells is above its mean, in standard deviations.
fn excess(cells: &[u64]) -> f64 {
    let expected = cells.iter().sum::<u64>() as f64 / cells.len() as f64;
    let chi_square: f64 = cells.iter().map(|&seen| (seen as f64 - expected).powi(2) / expected).sum();
    let freedom = (cells.len() - 1) as f64;
    (chi_square - freedom) / (2.0 * freedom).sqrt()
}

/// Which of the `M!` orders, in the order of the dictionary.
fn rank(places: &[u64]) -> usize {
    places.iter().enumerate().fold(0, |rank, (at, place)| {
        let later = &places[at + 1..];
        rank * (later.len() + 1) + later.iter().filter(|&other| other < place).count()
    })
}

#[test]
fn all_orders_of_two_to_six_are_equally_likely() {
    let times: usize = std::env::var("WEIR_DRAW_ORDERS").map_or(1, |times| times.parse().expect("a number"));
    for (count, orders, draws) in [(2, 2, 3_000), (3, 6, 3_000), (4, 24, 4_800), (5, 120, 6_000), (6, 720, 14_400)] {
        let mut cells = vec![0; orders];
        for seed in seeds().take(draws * times) {
            let draw = Permutation::new(seed.0, count);
            let places: Vec<u64> = (0..count).map(|number| draw.place(number).expect("below the count")).collect();
            cells[rank(&places)] += 1;
        }
        let excess = excess(&cells);
        println!("{count} shoppers, {orders} orders, {} draws: {excess:+.2} standard deviations", draws * times);
        assert!(excess < BOUND, "{count} shoppers: {excess}");
    }
}

#[test]
fn a_test_of_orders_sees_what_is_not_uniform() {
    // One order of six comes a quarter more often.
    assert!(excess(&[1_250, 1_000, 1_000, 1_000, 1_000, 1_000]) > BOUND);
    assert!(excess(&[1_010, 1_000, 1_020, 980, 990, 1_000]) < BOUND);
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    assert_eq!(orders.map(|order| rank(&order)), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn among_a_million_any_number_gets_any_place() {
    const COUNT: u64 = 1_000_000;
    for number in [0, 1, COUNT / 2, COUNT - 1] {
        let mut cells = vec![0; 100];
        for seed in seeds().take(20_000) {
            let place = Permutation::new(seed.0, COUNT).place(number).expect("below the count");
            cells[(place * 100 / COUNT) as usize] += 1;
        }
        let excess = excess(&cells);
        println!("number {number} of a million, in 100 stretches of places: {excess:+.2} standard deviations");
        assert!(excess < BOUND, "number {number}: {excess}");
    }
}

#[test]
fn among_a_million_two_who_join_together_are_drawn_apart() {
    const COUNT: u64 = 1_000_000;
    let mut cells = vec![0; 100];
    for seed in seeds().take(20_000) {
        let draw = Permutation::new(seed.0, COUNT);
        let [first, second] = [6, 7].map(|number| draw.place(number).expect("below the count") * 10 / COUNT);
        cells[(first * 10 + second) as usize] += 1;
    }
    assert!(excess(&cells) < BOUND, "{}", excess(&cells));
}

#[test]
fn joining_early_gains_nothing() {
    const COUNT: u64 = 1_000_000;
    let draw = Permutation::new(seeds().next().expect("without end").0, COUNT);
    // From -1/2 to 1/2, of variance 1/12.
    let centred = |value: u64| value as f64 / (COUNT - 1) as f64 - 0.5;
    let place = |number| centred(draw.place(number).expect("below the count"));
    let correlation = 12.0 * (0..COUNT).map(|number| centred(number) * place(number)).sum::<f64>() / COUNT as f64;
    println!("number and place of a million: correlation {correlation:+.5}");
    // Of standard deviation 0.001.
    assert!(correlation.abs() < 0.006, "{correlation}");
    for stretch in [0..1_000, COUNT - 1_000..COUNT] {
        let mean = stretch.clone().map(place).sum::<f64>() / 1_000.0;
        // Of standard deviation 0.009.
        assert!(mean.abs() < 0.055, "{stretch:?}: {mean}");
    }
}

/// Whether an order is made of an even number of exchanges.
fn is_even(places: &[u64]) -> bool {
    let mut seen = vec![false; places.len()];
    let mut cycle = |start: usize| {
        let (mut at, mut length) = (start, 0);
        while !seen[at] {
            seen[at] = true;
            (at, length) = (places[at] as usize, length + 1);
        }
        usize::from(length > 0)
    };
    let cycles: usize = (0..places.len()).map(&mut cycle).sum();
    (places.len() - cycles).is_multiple_of(2)
}

#[test]
fn a_crowd_of_256_is_drawn_in_even_and_in_odd_orders() {
    // A network that used XOR would give even ones alone.
    let order = |seed: Hash| {
        let draw = Permutation::new(seed.0, 256);
        (0..256).map(|number| draw.place(number).expect("below the count")).collect::<Vec<u64>>()
    };
    let even = seeds().take(400).filter(|&seed| is_even(&order(seed))).count();
    // Of standard deviation 10.
    assert!((140..=260).contains(&even), "{even} of 400 are even");
    assert!(is_even(&[0, 1, 2]) && is_even(&[1, 2, 0]) && !is_even(&[1, 0, 2]));
}
