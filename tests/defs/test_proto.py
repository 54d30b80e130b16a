import time, cProfile, pstats
def test_x(settled, copied):
    c = copied(settled)
    p=cProfile.Profile(); p.enable()
    r = c.run("tick")
    p.disable(); pstats.Stats(p).sort_stats("tottime").print_stats(22)
    pstats.Stats(p).sort_stats("cumtime").print_stats("gridtokenx_pipeline", 40)
