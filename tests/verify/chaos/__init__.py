"""
Chaos: real processes, a real database and a real broker, hurt at random; and a checker that
believes none of them.

    processes  the stand-ins, the balancer and the workers, each a process of its own
    stack      a whole installation of them in a folder
    load       backends that publish, repeat, cancel, opt people out; the ledger of answers
    faults     what is done to the installation, drawn from a seed
    witnesses  what is known of a run, by three that know nothing of each other
    checker    the promises, checked over what the witnesses say
"""
