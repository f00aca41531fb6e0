//! What the pickle machine reads, refuses and bounds.

use proptest::prelude::*;

use super::*;

/// `{"a": _rebuild_tensor_v2(("storage", HalfStorage, "0", "cpu", 6), 0, (3, 2), (1, 3), False, OrderedDict())}`
const ONE_TENSOR: &[u8] = b"\x80\x02}q\x00X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nHalfStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQK\x00K\x03K\x02\x86K\x01K\x03\x86\x89ccollections\nOrderedDict\n)RtRs.";

#[test]
fn a_tensor_is_described() {
    let tensors = state_dict(ONE_TENSOR).unwrap();
    let (name, tensor) = &tensors[0];
    assert_eq!(
        (&**name, &*tensor.storage.kind, &*tensor.storage.key),
        ("a", "HalfStorage", "0")
    );
    assert_eq!((&tensor.shape[..], &tensor.stride[..]), (&[3, 2][..], &[1, 3][..]));
}

#[test]
fn code_is_refused_by_name() {
    // What `pickle.dumps` makes of an object whose __reduce__ is (os.system, ("true",)).
    let bytes = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.";
    let error = state_dict(bytes).unwrap_err();
    assert!(error.message.contains("asks to run `posix.system`"), "{error}");
}

#[test]
fn a_cut_pickle_is_told() {
    assert!(
        state_dict(b"\x80\x02}q\x00")
            .unwrap_err()
            .message
            .contains("ends at byte 5")
    );
}

#[test]
fn a_dictionary_of_something_else_is_told() {
    let error = state_dict(b"\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s.").unwrap_err();
    assert_eq!(error.message, "`a` is no tensor");
}

#[test]
fn what_it_keeps_is_bounded() {
    // Each of these took gigabytes: a long text recalled again and again, lists, marks, and places in the memo.
    let text = [
        b"\x80\x02X\xff\xff\x00\x00".to_vec(),
        vec![b'a'; 0xffff],
        b"q\x00".to_vec(),
        b"h\x00".repeat(3 << 20),
    ]
    .concat();
    let memo = b"h\x00r".repeat(1 << 20);
    let memo: Vec<u8> = [b"\x80\x02Nq\x00".to_vec()]
        .into_iter()
        .chain((0..2u32 << 20).map(|slot| [b"r".as_slice(), &slot.to_le_bytes()].concat()))
        .chain([memo])
        .flatten()
        .collect();
    let tuples = [
        b"\x80\x02Nq\x00(".to_vec(),
        b"h\x00".repeat(100_000),
        b"tq\x01(".to_vec(),
        b"h\x01".repeat(100_000),
        b"t0".to_vec(),
    ]
    .concat();
    for (bytes, told) in [
        (text, "values at a time"),
        (b"]".repeat(60 << 20), "lists and dictionaries"),
        (b"(".repeat(60 << 20), "values at a time"),
        (b"}0".repeat(100), "instruction 0x30"),
        (b"]]a".repeat(60 << 18), "lists and dictionaries"),
        (b"N\x85".repeat(60 << 18), "values at a time"),
        (memo, "values to remember"),
        (tuples, "instruction 0x30"),
        (b"\x80\x02".repeat(60 << 18), "instructions"),
    ] {
        let start = std::time::Instant::now();
        let error = state_dict(&bytes).unwrap_err();
        assert!(error.message.contains(told), "{error}");
        assert!(start.elapsed().as_secs() < 10, "{told}: {:?}", start.elapsed());
    }
}

#[test]
fn a_value_is_small() {
    // Bounds on numbers of values are bounds on memory.
    assert!(size_of::<Value>() <= 24, "{}", size_of::<Value>());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        _ = state_dict(&bytes);
        _ = legacy(&bytes);
    }

    #[test]
    fn no_change_of_a_state_dictionary_makes_it_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6), cut in any::<usize>()) {
        let mut bytes = ONE_TENSOR.to_vec();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(1 + cut % (2 * bytes.len()));
        _ = state_dict(&bytes);
        _ = legacy(&bytes);
    }
}
