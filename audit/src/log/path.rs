//! Names of files in a log's folder.

/// Binary logarithm of the number of hashes in a C2SP tile: 2^8.
pub const TILE_HEIGHT: u8 = 8;
/// Number of hashes in a full tile, and of entries in a full bundle.
pub const WIDTH: u64 = 1 << TILE_HEIGHT;
/// Maximum length of a path: enough for a tree of 2^63 entries.
const PATH_BYTES: usize = 128;

/// Formats `n` as a C2SP tile number: groups of three digits, all but the last with an `x`.
fn number(mut n: u64) -> String {
    let mut text = format!("{:03}", n % 1000);
    while n >= 1000 {
        n /= 1000;
        text = format!("x{:03}/{text}", n % 1000);
    }
    text
}

/// Returns the path of a tile of hashes at `level`.
pub fn tile(level: u8, n: u64, width: u64) -> String {
    named(&level.to_string(), n, width)
}

/// Returns the path of a bundle of entries.
pub fn bundle(n: u64, width: u64) -> String {
    named("entries", n, width)
}

fn named(level: &str, n: u64, width: u64) -> String {
    let partial = if width < WIDTH { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{}{partial}", number(n))
}

/// Returns the path of the full tile or bundle if `path` is a part: the full file replaces its parts, which may then be deleted.
pub fn whole(path: &str) -> Option<&str> {
    path.rsplit_once(".p/").map(|(whole, _)| whole)
}

/// Lists the tiles of hashes of a log of `size` entries, level by level, without its bundles.
pub fn tiles(size: u64) -> impl Iterator<Item = String> {
    let hashes = move |level: u32| size.checked_shr(u32::from(TILE_HEIGHT) * level).unwrap_or(0);
    let levels = (0u8..).map(move |level| (level, hashes(level.into()))).take_while(|(_, hashes)| *hashes > 0);
    levels.flat_map(|(level, hashes)| (0..hashes.div_ceil(WIDTH)).map(move |n| tile(level, n, WIDTH.min(hashes - n * WIDTH))))
}

/// Lists the bundles of entries of a log of `size` entries.
pub fn bundles(size: u64) -> impl Iterator<Item = String> {
    (0..size.div_ceil(WIDTH)).map(move |n| bundle(n, WIDTH.min(size - n * WIDTH)))
}

/// Returns whether `path` can be a file of a log: `checkpoint`, or a tile in C2SP's only spelling. Nothing else is ever opened.
pub fn is_log_path(path: &str) -> bool {
    if path == "checkpoint" {
        return true;
    }
    let Some((level, rest)) = path.strip_prefix("tile/").and_then(|p| p.split_once('/')) else { return false };
    let level_fits = level == "entries" || level.parse::<u8>().is_ok_and(|l| l < 64 && l.to_string() == level);
    let (rest, width) = match rest.split_once(".p/") {
        None => (rest, WIDTH),
        Some((rest, width)) => match width.parse::<u64>() {
            Ok(w) if (1..WIDTH).contains(&w) && w.to_string() == width => (rest, w),
            _ => return false,
        },
    };
    let mut n = 0u64;
    for part in rest.split('/') {
        let digits = part.strip_prefix('x').unwrap_or(part);
        if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return false;
        }
        let Some(more) = digits.parse().ok().and_then(|d: u64| n.checked_mul(1000)?.checked_add(d)) else { return false };
        n = more;
    }
    path.len() <= PATH_BYTES && level_fits && named(level, n, width) == path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tile_numbers_are_c2sp_s() {
        assert_eq!(number(0), "000");
        assert_eq!(number(1_234_067), "x001/x234/067");
        assert_eq!(bundle(1000, 256), "tile/entries/x001/000");
        assert_eq!(tile(0, 3, 7), "tile/0/003.p/7");
        assert_eq!(whole("tile/0/003.p/7"), Some("tile/0/003"));
        assert_eq!(whole("tile/0/003"), None);
    }

    #[test]
    fn only_log_paths_are_opened() {
        for good in ["checkpoint", "tile/0/000", "tile/entries/x001/000.p/7", "tile/63/x123/x456/789.p/255"] {
            assert!(is_log_path(good), "{good}");
        }
        for bad in [
            "",
            "key",
            "tile/../key",
            "tile//0",
            "/checkpoint",
            "tile/0/000/../../../key",
            "tile/x/000",
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/001/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/07",
            "tile/0/000.p/+7",
            "tile/0/000.p/7/",
            "tile/0/000.p/7.p/7",
            "tile/0/٠٠٠",
            "tile/0/000\0",
            "checkpoint/",
            "tile/entries/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert!(!is_log_path(bad), "{bad}");
        }
    }
}
