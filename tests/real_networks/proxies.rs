//! Real proxies.

use super::{
    authority::Authority,
    clients,
    programs::{Folder, Program, free_address, installed},
    servers::{HELLO, nginx},
    through,
};
use std::process::Command;
use unifiedai::transport::{Options, TransportErrorKind};

/// Not a loopback address for a client, but this machine for a proxy.
const HERE: &str = "0.0.0.0";

fn trusting(options: Options, authority: &Authority) -> Options {
    options.extra_roots_pem(authority.root.as_bytes()).unwrap()
}

/// Plain and TLS requests; then a wrong password.
fn carries(proxy: &str, host: &str, resolve: bool, wrong: &str, status: &str) {
    let authority = Authority::new("a private authority");
    let identity = authority.identity(&[host]);
    let Some(server) = nginx(&identity, "") else {
        return;
    };
    let with_address = |options: Options| match resolve {
        true => options.resolve(host, &["127.0.0.1".parse().unwrap()]),
        false => options,
    };
    let options = with_address(trusting(through(proxy), &authority));
    for (transport, fetch) in clients(&options) {
        for uri in [server.http(host), server.https(host)] {
            for _ in 0..3 {
                let answer = fetch(&uri).unwrap_or_else(|e| panic!("{transport}: {uri}: {e}"));
                assert_eq!(answer, (200, HELLO.to_owned()), "{transport}: {uri}");
            }
        }
    }
    let options = with_address(trusting(through(wrong), &authority));
    for (transport, fetch) in clients(&options) {
        for uri in [server.http(host), server.https(host)] {
            let error = match fetch(&uri) {
                // Without a tunnel nothing shows that this response is the proxy's.
                Ok((401, _)) if uri.starts_with("http://") && status == "401" => continue,
                answer => answer.unwrap_err(),
            };
            let text = format!("{transport}: {uri}: {error:#?}");
            assert_eq!(error.kind(), TransportErrorKind::Proxy, "{text}");
            assert!(text.contains(status) && !text.contains("CANARY"), "{text}");
        }
    }
}

#[test]
fn tinyproxy_with_a_password() {
    let Some(program) = installed("tinyproxy") else {
        return;
    };
    let (folder, address) = (Folder::new(), free_address());
    let config = format!(
        "Port {}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nBasicAuth user password\n",
        address.port()
    );
    let config = folder.write("tinyproxy.conf", &config);
    let mut command = Command::new(program);
    command.args(["-d", "-c", &config]);
    let proxy = Program::start(command, address, folder);
    carries(
        &format!("http://user:pass%77ord@{}", proxy.address),
        HERE,
        false,
        &format!("http://user:CANARY@{}", proxy.address),
        // The status for wrong credentials.
        "401",
    );
}

#[test]
fn squid_resolves_names_and_refuses_by_its_rules() {
    let Some(program) = installed("squid") else {
        return;
    };
    let (folder, address) = (Folder::new(), free_address());
    let hosts = folder.write("hosts", "127.0.0.1 target.test forbidden.test\n");
    let pid = folder.path().join("squid.pid");
    let log = folder.path().join("cache.log");
    let config = format!(
        "http_port 127.0.0.1:{}\nhosts_file {hosts}\nacl forbidden dstdomain forbidden.test\n\
         http_access deny forbidden\nhttp_access allow all\ncache deny all\naccess_log none\n\
         cache_log {}\npid_filename {}\npinger_enable off\nshutdown_lifetime 0 seconds\n\
         max_filedescriptors 1024\ncache_mem 1 MB\ncoredump_dir {}\n",
        address.port(),
        log.display(),
        pid.display(),
        folder.path().display(),
    );
    let config = folder.write("squid.conf", &config);
    let mut command = Command::new(program);
    command.args(["-N", "-f", &config]);
    let proxy = Program::start(command, address, folder);
    let authority = Authority::new("a private authority");
    let identity = authority.identity(&["target.test", "forbidden.test"]);
    let Some(server) = nginx(&identity, "") else {
        return;
    };
    let url = format!("http://{}", proxy.address);
    for (transport, fetch) in clients(&trusting(through(&url), &authority)) {
        for uri in [server.http("target.test"), server.https("target.test")] {
            for _ in 0..3 {
                let answer = fetch(&uri).unwrap_or_else(|e| panic!("{transport}: {uri}: {e}"));
                assert_eq!(answer, (200, HELLO.to_owned()), "{transport}: {uri}");
            }
        }
        // In a tunnel only the proxy can have refused; without one it is an ordinary response.
        let error = fetch(&server.https("forbidden.test")).unwrap_err();
        assert_eq!(
            error.kind(),
            TransportErrorKind::Proxy,
            "{transport}: {error:?}"
        );
        assert!(error.to_string().contains("403"), "{transport}: {error}");
        assert_eq!(fetch(&server.http("forbidden.test")).unwrap().0, 403);
    }
}

#[test]
fn microsocks_with_a_password() {
    let Some(program) = installed("microsocks") else {
        return;
    };
    let (folder, address) = (Folder::new(), free_address());
    let mut command = Command::new(program);
    let port = address.port().to_string();
    command.args(["-i", "127.0.0.1", "-p", &port, "-u", "user", "-P", "p@ss"]);
    let proxy = Program::start(command, address, folder);
    let (right, wrong) = ("user:p%40ss", "user:CANARY");
    let url = |scheme: &str, login: &str| format!("{scheme}://{login}@{}", proxy.address);
    carries(
        &url("socks5h", right),
        HERE,
        false,
        &url("socks5h", wrong),
        "password",
    );
    carries(
        &url("socks5", right),
        "target.test",
        true,
        &url("socks5", wrong),
        "password",
    );
}
