//! Modules of a kernel, in an order in which they can be loaded.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use object::{Object as _, ObjectSection as _};

/// What the tests' networks are made of: links, filters, and what tells of sockets.
pub const WANTED: &[&str] = &[
    "veth",
    "dummy",
    "bridge",
    "tun",
    "sch_ingress",
    "sch_netem",
    "cls_bpf",
    "act_bpf",
    "tcp_diag",
    "udp_diag",
    "nf_tables",
    "nft_ct",
    "nft_nat",
    "nft_masq",
    "nft_counter",
    "nft_compat",
    "nft_limit",
    "nft_chain_nat",
    "nf_conntrack_netlink",
    "ip_tables",
    "ip6_tables",
    "iptable_filter",
    "ip6table_filter",
    "xt_recent",
    "xt_conntrack",
    "xt_tcpudp",
    "xt_multiport",
    "gre",
    "ip_gre",
];

/// A module, not compressed.
pub struct Module {
    pub name: String,
    pub content: Vec<u8>,
}

/// Those wanted below `folder`, each behind those that it needs. What is not there is taken for built into the kernel.
pub fn in_order(folder: &Path, wanted: &[&str]) -> Result<Vec<Module>> {
    let mut paths = BTreeMap::new();
    collect(folder, &mut paths)?;
    let mut order = Vec::new();
    for name in wanted {
        append(name, &paths, &mut order)?;
    }
    Ok(order)
}

fn append(name: &str, paths: &BTreeMap<String, PathBuf>, order: &mut Vec<Module>) -> Result<()> {
    let Some(path) = paths.get(name) else { return Ok(()) };
    if order.iter().any(|module| module.name == name) {
        return Ok(());
    }
    let content = read(path)?;
    for needed in dependencies(&content).with_context(|| path.display().to_string())? {
        append(&needed, paths, order)?;
    }
    order.push(Module { name: name.to_owned(), content });
    Ok(())
}

/// Every module's path by its name, in which a dash is an underscore.
fn collect(folder: &Path, paths: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if let Some((name, _)) =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once(".ko"))
        {
            paths.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let in_path = || path.display().to_string();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => fs::read(path).with_context(in_path),
        Some("xz") => {
            let output = Command::new("xz").args(["--decompress", "--stdout"]).arg(path).output();
            let output = output.context("`xz` did not start; it is in the package xz-utils")?;
            ensure!(output.status.success(), "{}: xz can't decompress it", path.display());
            Ok(output.stdout)
        }
        _ => bail!("{}: a module that is compressed in an unknown way", path.display()),
    }
}

/// What `depends=` in a module's section .modinfo says.
fn dependencies(module: &[u8]) -> Result<Vec<String>> {
    let file = object::File::parse(module)?;
    let section = file.section_by_name(".modinfo").context("it has no section .modinfo")?;
    let words = section.data()?.split(|&byte| byte == 0);
    let depends = words.filter_map(|word| std::str::from_utf8(word).ok()?.strip_prefix("depends="));
    let names = depends.flat_map(|names| names.split(',')).filter(|name| !name.is_empty());
    Ok(names.map(|name| name.replace('-', "_")).collect())
}
