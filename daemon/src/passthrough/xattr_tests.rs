use super::*;

#[test]
fn acls_are_taken_out_of_lists() {
    let names = b"user.a\0system.posix_acl_access\0security.selinux\0system.posix_acl_default\0";
    assert_eq!(without_acls(names), b"user.a\0security.selinux\0");
    assert_eq!(without_acls(b""), b"");
    assert_eq!(without_acls(b"system.posix_acl_accessory\0"), b"system.posix_acl_accessory\0");
}

#[test]
fn values_fit_or_are_refused() {
    let value = || b"1234".to_vec();
    assert_eq!(fit(value(), 0).unwrap(), XattrReply::Size(4));
    assert_eq!(fit(value(), 4).unwrap(), XattrReply::Value(value()));
    assert_eq!(fit(value(), 3).unwrap_err().raw_os_error(), Some(errno::ERANGE));
}
