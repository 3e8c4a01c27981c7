use super::*;

const GOOD: Header = Header { id: *b"0123456789abcdef", words: 1 << 20 };

fn words_of(header: &Header) -> Vec<u64> {
    let mut words = header.encode().to_vec();
    words.resize(FIRST_SLOT as usize, 0);
    words
}

fn decode_with(change: impl Fn(&mut Vec<u64>)) -> Result<Header, HeaderError> {
    let mut words = words_of(&GOOD);
    change(&mut words);
    Header::decode(|i| words[i])
}

#[test]
fn what_is_encoded_is_decoded() {
    assert_eq!(decode_with(|_| {}), Ok(GOOD));
    assert_eq!(GOOD.table_bytes(), 8 << 20);
}

#[test]
fn the_first_bytes_spell_the_name() {
    assert_eq!(&words_of(&GOOD)[0].to_le_bytes(), b"SAMEPAGE");
    assert_eq!(words_of(&GOOD)[2].to_le_bytes(), GOOD.id[..8]);
}

#[test]
fn each_field_has_its_own_error() {
    assert_eq!(decode_with(|w| w[0] = 0), Err(HeaderError::Magic(0)));
    assert_eq!(decode_with(|w| w[1] += 1), Err(HeaderError::AbiVersion(2)));
    assert_eq!(decode_with(|w| w[1] += 1 << 32), Err(HeaderError::HeaderLen(4097)));
    assert_eq!(decode_with(|w| w[4] = 1 << 11), Err(HeaderError::Words(1 << 11)));
    assert_eq!(decode_with(|w| w[4] = 1 << 27), Err(HeaderError::Words(1 << 27)));
    assert_eq!(decode_with(|w| w[4] += 1), Err(HeaderError::Words((1 << 20) + 1)));
    assert_eq!(decode_with(|w| w[511] = 1), Err(HeaderError::NotZero(511)));
}

#[test]
fn every_word_is_fetched_once() {
    let words = words_of(&GOOD);
    let mut fetched = vec![0; words.len()];
    Header::decode(|i| {
        fetched[i] += 1;
        words[i]
    })
    .unwrap();
    assert!(fetched.iter().all(|&n| n == 1));
}
