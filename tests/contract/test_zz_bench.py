import asyncio, sys, time, subprocess, socket, cProfile, pstats, os
import pytest
from tests.fixtures.gateways import GatewayFactory
from tests.fixtures.live_routes import apply, configuration_of, served
pytestmark = pytest.mark.anyio

async def test_bench(gateways: GatewayFactory) -> None:
    port=18999
    up=subprocess.Popen([sys.executable,"/tmp/bb/up.py",str(port)])
    try:
        async with gateways(access_log_share=0.0) as gateway, served(gateway) as site:
            await apply(gateway, configuration_of(f"http://127.0.0.1:{port}", {}))
            from tests.contract.test_proxied_routes import _change_plan
            await _change_plan(gateway,"scale",windows=[{"name":"a","quota":100000000,"window_seconds":1},{"name":"b","quota":1000000000,"window_seconds":60},{"name":"c","quota":1000000000,"window_seconds":3600}])
            key=gateway.acme.keys["member"]
            for path, conns in (("/echo/a",1),("/echo/a",1),("/echo/a",16),("/v1/contacts",1),("/livez",16),("/livez",16)):
                req=f"GET {path} HTTP/1.1\r\nHost: api.example\r\nX-API-Key: {key}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n".encode()
                n=6000
                async def run():
                    p=await asyncio.create_subprocess_exec(sys.executable,"/tmp/bb/load.py",str(site.port),str(n),str(conns),stdin=subprocess.PIPE,stdout=subprocess.PIPE)
                    out,_=await p.communicate(req); return out
                prof=None
                if os.environ.get("PROF")==path and conns==16:
                    prof=cProfile.Profile(); prof.enable()
                c=time.process_time(); w=time.perf_counter()
                out=await run()
                c=time.process_time()-c; w=time.perf_counter()-w
                if prof: prof.disable(); pstats.Stats(prof).sort_stats("tottime").print_stats(45)
                print(path,conns,out,"cpu/req us",round(c/n*1e6,1),"wall/req",round(w/n*1e6,1),file=sys.stderr)
    finally:
        up.kill()
