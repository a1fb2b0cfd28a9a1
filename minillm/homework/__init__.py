"""Homework that grades itself: exercises, a child process for the student's code, messages and reports."""
