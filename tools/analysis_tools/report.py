"""Write the report of a run: python tools/analysis_tools/report.py work_dirs/swav; the same as mmssl report."""

from mmssl.commands import run_tool

if __name__ == '__main__':
    run_tool('report')
