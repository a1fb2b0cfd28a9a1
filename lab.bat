@echo off
rem Windows: what the Makefile does elsewhere. The first call sets up .venv.
rem   lab.bat             the lessons in Jupyter
rem   lab.bat test        the tests
rem   lab.bat demo        all stages of training; so with every command: lab.bat homework 3
setlocal
cd /d "%~dp0"
if exist .venv\ready.txt goto ready
py -3 -m venv .venv 2>nul || python -m venv .venv || exit /b 1
.venv\Scripts\python -m pip install --disable-pip-version-check -q -r requirements.txt -r lessons\requirements.txt || exit /b 1
echo ready> .venv\ready.txt
:ready
if "%~1"=="" goto lab
if /i "%~1"=="test" goto test
.venv\Scripts\python -m minillm %*
exit /b %errorlevel%
:test
.venv\Scripts\python -m pytest
exit /b %errorlevel%
:lab
set PATH=%CD%\.venv\Scripts;%PATH%
.venv\Scripts\jupyter lab --notebook-dir=.
exit /b %errorlevel%
