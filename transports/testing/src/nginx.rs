//! nginx, where it is installed.

use crate::Authority;
use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// A server that answers every request with `hi`. It ends when dropped.
pub struct Nginx {
    process: Child,
    directory: PathBuf,
    port: u16,
}

impl Nginx {
    /// Over TLS, with HTTP/2 and these directives, or `None` and a printed line where nginx is not installed.
    pub fn start(authority: &Authority, directives: &str) -> Option<Self> {
        let places = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
        let Some(program) = places.iter().find(|place| fs::exists(place).unwrap()) else {
            println!("skipped: nginx is not installed");
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let directory = std::env::temp_dir().join(format!("unifiedai-nginx-{port}"));
        fs::create_dir_all(&directory).unwrap();
        let (certificate, key) = authority.pem();
        fs::write(directory.join("server.pem"), certificate).unwrap();
        fs::write(directory.join("server.key"), key).unwrap();
        let at = directory.display();
        let config = format!(
            "daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             server {{ listen 127.0.0.1:{port} ssl http2; {directives}\n\
             ssl_certificate {at}/server.pem; ssl_certificate_key {at}/server.key;\n\
             location / {{ return 200 hi; }} }} }}\n"
        );
        fs::write(directory.join("nginx.conf"), config).unwrap();
        let process = Command::new(program)
            .arg("-c")
            .arg(directory.join("nginx.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Nginx {
            process,
            directory,
            port,
        };
        for _ in 0..200 {
            // It listens before it writes its number.
            if fs::exists(nginx.directory.join("pid")).unwrap() {
                return Some(nginx);
            }
            thread::sleep(Duration::from_millis(25));
        }
        panic!("nginx does not listen: see {}", nginx.directory.display());
    }

    /// The address of a path on it.
    pub fn uri(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its first process ends the others when it is asked to, not when it is killed.
        let pid = self.process.id().to_string();
        let asked = Command::new("kill").arg(&pid).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
