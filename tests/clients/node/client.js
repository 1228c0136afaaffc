// One thing done with npm's ssh2, as test_ssh2.py asks: node client.js JSON.
//
//	{host, port, username, privateKey (path), hostKey (base64), jump: {host, port, username} or absent, do, ...}
//
// What was seen goes to standard output as JSON.  Any surprise ends it with 1.
'use strict';
const { Client } = require('ssh2');
const fs = require('fs');
const crypto = require('crypto');

const what = JSON.parse(process.argv[2]);
const privateKey = fs.readFileSync(what.privateKey);
const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');
const promised = (begin) => new Promise((yes, no) => begin((error, value) => (error ? no(error) : yes(value))));
const hostVerifier = (key) => key.toString('base64') === what.hostKey;

function connected(to, sock) {
	const client = new Client();
	return new Promise((yes, no) => {
		client.on('ready', () => yes(client)).on('error', no);
		client.connect({ host: to.host, port: to.port, username: to.username, privateKey, hostVerifier, sock });
	});
}

async function exec(client, command, input, options) {
	const stream = await promised((done) => client.exec(command, options || {}, done));
	const out = [], err = [];
	stream.on('data', (b) => out.push(b));
	stream.stderr.on('data', (b) => err.push(b));
	const closed = new Promise((yes) => stream.on('close', (status, signal) => yes({ status, signal })));
	stream.end(input);
	return { ...(await closed), out: Buffer.concat(out), err: Buffer.concat(err) };
}

async function shell(client) {
	const stream = await promised((done) => client.shell({ term: 'vt100', rows: 33, cols: 99 }, done));
	const out = [];
	stream.on('data', (b) => out.push(b));
	const closed = new Promise((yes) => stream.on('close', (status) => yes(status)));
	stream.write('stty size; exit 6\r');
	return { status: await closed, out: Buffer.concat(out).toString() };
}

const deeds = {
	async exec(client) {
		const { status, signal, out, err } = await exec(client, what.command, Buffer.from(what.input, 'base64'));
		return { status, signal, out: out.toString('base64'), err: err.toString('base64') };
	},
	async streams(client) {
		const { status, out } = await exec(client, what.command, fs.readFileSync(what.local));
		return { status, size: out.length, sha256: sha256(out) };
	},
	shell,
	async put(client) {
		const sftp = await promised((done) => client.sftp(done));
		await promised((done) => sftp.fastPut(what.local, what.remote, done));
	},
	async get(client) {
		const sftp = await promised((done) => client.sftp(done));
		await promised((done) => sftp.fastGet(what.remote, what.local, done));
	},
	async manage(client) {
		const sftp = await promised((done) => client.sftp(done)), d = what.remote;
		await promised((done) => sftp.mkdir(`${d}/d`, done));
		await promised((done) => sftp.writeFile(`${d}/d/a`, 'small\n', done));
		await promised((done) => sftp.rename(`${d}/d/a`, `${d}/d/b`, done));
		await promised((done) => sftp.symlink('b', `${d}/d/link`, done));
		const names = (await promised((done) => sftp.readdir(`${d}/d`, done))).map((e) => e.filename).sort();
		const read = (await promised((done) => sftp.readFile(`${d}/d/b`, done))).toString();
		await promised((done) => sftp.unlink(`${d}/d/link`, done));
		return { names, read };
	},
	async many(client) {
		const each = [...Array(what.count).keys()].map((n) => exec(client, `cat; exit ${n}`, `${n}\n`.repeat(1000)));
		return (await Promise.all(each)).map(({ status, out }) => [status, sha256(out)]);
	},
};

(async () => {
	let outer, sock;
	if (what.jump) {
		outer = await connected(what.jump);
		sock = await promised((done) => outer.forwardOut('127.0.0.1', 0, what.host, what.port, done));
	}
	const client = await connected(what, sock);
	process.stdout.write(JSON.stringify((await deeds[what.do](client)) || {}));
	client.end();
	if (outer) outer.end();
})().catch((error) => {
	console.error(error);
	process.exit(1);
});
